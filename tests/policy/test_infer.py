"""What can be told of a tool that nobody described: effect, roles, labels, a first manifest."""

import pytest
import yaml

from interlock.kernel.spec import Effect, Role
from interlock.policy.infer import infer, infer_spec, suggest_manifest


def schema(*names: str, **types: object) -> dict[str, object]:
    return {"type": "object", "properties": {n: {"type": "string"} for n in names} | types}


@pytest.mark.parametrize(
    ("name", "arguments", "effect"),
    [
        ("get_order", "order_id", "read"), ("list_deleted_files", "", "read"), ("searchEmails", "query", "read"),
        ("email_search", "query", "read"), ("order_history", "", "read"), ("is_door_locked", "door", "read"),
        ("download_file", "file_id", "read"), ("getUserByID", "id", "read"),
        ("get_webpage", "url", "fetch"), ("download", "url", "fetch"), ("read_site", "link", "fetch"), ("browse", "url", "fetch"),
        ("create_note", "title", "write"), ("todo_list_add", "text", "write"), ("append_to_file", "path,content", "write"),
        ("mark_email_as_read", "email_id", "write"), ("turn_on_light", "room", "write"), ("rename-file", "path,new_name", "write"),
        ("send_email", "to,body", "egress"), ("gmail.users.messages.send", "raw", "egress"), ("slack_post_message", "channel,text", "egress"),
        ("message_user", "user,text", "egress"), ("book_hotel", "hotel", "egress"), ("order_pizza", "size", "egress"),
        ("create_event", "title,attendees", "egress"), ("assign_task", "task_id,assignee", "egress"),
        ("add_user_to_channel", "user,channel", "egress"), ("share_file", "file_id,email", "egress"),
        ("run_command", "command", "egress"), ("query_database", "sql", "egress"), ("post_page", "url,content", "egress"),
        ("get_or_create_user", "email", "egress"), ("update_permissions", "file_id,role", "egress"),
        ("send_money", "recipient,amount", "spend"), ("pay_bill", "bill_id", "spend"), ("make_payment", "payee", "spend"),
        ("schedule_transfer", "to,amount,date", "spend"), ("issue_refund", "order_id", "spend"), ("buyItem", "item", "spend"),
        ("update_scheduled_transaction", "id,amount", "spend"), ("transfer_file", "file_id", "egress"),
        ("mcp__github__delete_repo", "repo", "destroy"), ("order_cancel", "order_id", "destroy"), ("revoke_access", "user", "destroy"),
        ("update_password", "password", "destroy"), ("reset_mfa", "user", "destroy"), ("find_and_delete", "query", "destroy"),
        ("unsubscribe", "list", "destroy"), ("kick_user", "user", "destroy"), ("disable_account", "account", "destroy"),
        ("frobnicate", "blob", "egress"), ("x", "", "egress"), ("", "", "egress"),
    ],
)  # fmt: skip
def test_the_verb_of_the_name_says_the_effect(name: str, arguments: str, effect: str) -> None:
    assert infer_spec(name, "", schema(*[a for a in arguments.split(",") if a])).effect == effect


@pytest.mark.parametrize(
    ("name", "description", "effect"),
    [
        ("orders", "Lists the customer's orders.", "read"),
        ("weather", "Get the current weather.", "read"),
        ("ledger_v2", "Deletes a booking from the ledger.", "destroy"),
        ("helper", "Look up an order and cancel it.", "destroy"),
        ("mailer", "This tool sends an email to a customer.", "egress"),
        ("thing", "", "egress"),
        ("delete_user", "Reads nothing, lists nothing.", "destroy"),
    ],
)
def test_the_description_speaks_only_where_the_name_is_silent(name: str, description: str, effect: str) -> None:
    assert infer_spec(name, description, {}).effect == effect


@pytest.mark.parametrize(
    ("tool", "argument", "role"),
    [
        ("send_email", "to", "recipient"), ("send_email", "cc", "recipient"), ("create_event", "participants", "recipient"),
        ("invite_user", "user_email", "recipient"), ("call_customer", "phone_number", "recipient"), ("assign_task", "assignee_id", "recipient"),
        ("send_money", "recipient", "account"), ("send_money", "to", "account"), ("pay", "iban", "account"),
        ("update_profile", "account_number", "account"), ("send_crypto", "wallet_address", "account"),
        ("get_page", "url", "url"), ("create_hook", "webhook_url", "url"), ("create_hook", "callback", "url"),
        ("scan", "hostname", "host"), ("read_file", "file_path", "path"), ("write_file", "directory", "path"),
        ("create_file", "filename", "title"), ("send_email", "subject", "title"), ("create_event", "location", "title"),
        ("create_channel", "name", "title"), ("delete_environment", "name", "entity"),
        ("delete_email", "email_id", "id:email"), ("get_file_by_id", "id", "id:file"), ("update_scheduled_transaction", "id", "id:transaction"),
        ("get_weird", "analysis_ids", "id:analysis"), ("close", "issue_number", "id:issue"), ("delete_mail", "mailId", "id:email"),
        ("login", "password", "credential"), ("call_api", "api_key", "credential"), ("change_pin", "new_pin", "credential"),
        ("run", "command", "command"), ("query_database", "sql", "command"), ("execute", "script", "command"),
        ("book_hotel", "check_in", "time"), ("create_event", "start_time", "time"), ("create_task", "due_date", "time"),
        ("send_money", "amount", "amount"), ("search_flights", "budget", "amount"),
        ("send_email", "body", "text"), ("create_note", "content", "text"),
        ("list_items", "limit", "option"), ("list_items", "page_token", "option"), ("list_items", "sort_by", "option"),
        ("book_hotel", "hotel", "entity"), ("post_message", "channel", "entity"), ("get_weather", "city", "entity"),
        ("frobnicate", "blob", "unknown"), ("create_thing", "x17", "unknown"),
    ],
)  # fmt: skip
def test_the_name_of_an_argument_says_its_role(tool: str, argument: str, role: str) -> None:
    found = infer_spec(tool, "", schema(argument)).argument(argument)
    assert (f"{found.role}:{found.kind}" if found.kind else found.role) == role


@pytest.mark.parametrize(
    ("below", "role"),
    [
        ({"type": "boolean"}, "option"),
        ({"enum": ["low", "high"]}, "option"),
        ({"type": "string", "format": "uri"}, "url"),
        ({"type": "string", "format": "email"}, "recipient"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "time"),
        ({"type": "string", "description": "IBAN of the one who is paid"}, "account"),
        ({"type": "string", "description": "E-mail address of whoever gets it"}, "recipient"),
        ({"type": "object"}, "unknown"),
    ],
)
def test_type_format_and_description_speak_where_the_name_is_silent(below: dict[str, object], role: str) -> None:
    assert infer_spec("update_thing", "", schema(zzz=below)).argument("zzz").role == role


def test_a_switch_that_shows_things_to_the_world_is_no_option() -> None:
    assert infer_spec("update_post", "", schema(public={"type": "boolean"})).argument("public").role is Role.UNKNOWN


def test_nested_arguments_have_dotted_paths() -> None:
    attachment = {"type": "object", "properties": {"file_id": {"type": "string"}, "note": {"type": "string"}}}
    found = infer_spec(
        "send_email",
        "",
        schema(
            attachments={"type": "array", "items": {"$ref": "#/$defs/Attachment"}},
            recipient={"type": "object", "properties": {"name": {"type": "string"}}},
        )
        | {"$defs": {"Attachment": attachment}},
    )
    assert (found.argument("attachments.file_id").role, found.argument("attachments.file_id").kind) == (Role.ID, "file")
    assert found.argument("attachments.note").role is Role.TEXT
    assert found.argument("recipient.name").role is Role.RECIPIENT


def test_a_schema_that_contains_itself_ends() -> None:
    node: dict[str, object] = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}
    assert infer_spec("create_tree", "", node | {"$defs": {"Node": node}}).effect is Effect.WRITE


@pytest.mark.parametrize(
    ("name", "description", "own", "external"),
    [
        ("list_emails", "", {"id", "timestamp"}, {"subject", "body", "sender"}),
        ("get_document", "", {"id"}, {"content", "title", "owner"}),
        ("search_reviews", "", {"id"}, {"text"}),
        ("get_current_time", "", {"*"}, set()),
        ("get_balance", "", {"*"}, set()),
        ("get_user_info", "", {"*"}, set()),
        ("search_contacts", "", {"*"}, set()),
        ("get_hotel_prices", "", {"*"}, set()),
        ("get_webpage", "", {"id"}, {"content", "title"}),
        ("get_user_messages", "", {"id"}, {"text", "user"}),
        ("get_contact_notes", "", {"id"}, {"note"}),
    ],
)
def test_only_what_the_service_sets_is_own(name: str, description: str, own: set[str], external: set[str]) -> None:
    fields = set(infer_spec(name, description, {}).returns.own)
    assert own <= fields
    assert not external & fields


@pytest.mark.parametrize(
    ("name", "description", "arguments", "effect", "roles", "external", "own"),
    [
        ("fetch_inbox", "Returns recent mails.", "count:integer", "read", "count=amount|option", "subject body from sender", "id"),
        ("getMessage", "", "messageId", "read", "messageId=id:message", "text from sender", "id createdAt"),
        ("gmail.users.messages.get", "", "id", "read", "id=id:message|id:email", "snippet payload from", "id"),
        ("list_events_v2", "", "from_date to_date", "read", "from_date=time to_date=time", "title description attendees organizer", "id"),
        ("message_delete", "", "uid", "destroy", "uid=id:message", "", ""),
        ("reactToMessage", "", "message_id emoji", "egress", "message_id=id:message", "", ""),
        ("createCalendarEvent", "", "summary start end attendees:array", "egress", "summary=title attendees=recipient start=time", "", ""),
        ("upload_document", "", "fileName content", "egress", "fileName=title", "", ""),
        ("transfer_ownership", "", "file_id owner_email", "egress", "owner_email=recipient file_id=id:file", "", ""),
        ("addWatcher", "", "issueKey username", "egress|write", "username=recipient|entity|unknown", "", ""),
        ("set_forwarding", "Forward incoming mail to another address.", "to_addresses:array", "egress", "to_addresses=recipient", "", ""),
        ("profile", "Returns the user's own profile.", "", "read", "", "", "*"),
        ("whoami", "", "", "read", "", "", "*"),
        ("contacts", "Search contacts by name.", "query", "read", "query=text", "", "*"),
        ("wiki_page", "Fetches a wiki page.", "page_id", "read", "page_id=id:page", "content title author", "id"),
        ("news_feed", "", "", "read|egress", "", "headline text", ""),
        ("scrape", "", "target_url", "fetch", "target_url=url", "content", ""),
        ("web.search", "", "q", "read|fetch", "q=text", "snippet title url", ""),
        ("read_pdf", "", "url", "fetch", "url=url", "text content", ""),
        ("http_request", "Make an HTTP request.", "method url body", "egress|fetch", "url=url body=text|unknown", "", ""),
        ("kb_lookup", "Look up an article in the knowledge base.", "term", "read", "", "content body", ""),
        ("customer", "", "customer_id", "egress|read", "customer_id=id:customer", "", ""),
        ("order_lookup", "", "order_no", "read", "order_no=id:order|entity", "", ""),
        ("refund", "Refunds an order.", "order_id amount", "spend", "order_id=id:order amount=amount", "", ""),
        ("charge_card", "", "card_id amount", "spend", "card_id=id:card amount=amount", "", ""),
        ("update_direct_debit", "", "mandate_id new_amount", "spend", "new_amount=amount", "", ""),
        ("set_payee", "", "iban name", "spend|egress|write", "iban=account", "", ""),
        ("wallet_send", "", "address amount", "spend", "address=account amount=amount", "", ""),
        ("invoice_create", "", "customer_id lines:array", "write|spend|egress", "customer_id=id:customer", "", ""),
        ("chmod", "", "path mode", "egress|destroy|write", "path=path", "", ""),
        ("rm", "", "path", "destroy|egress", "path=path", "", ""),
        ("touch_file", "", "path", "write|egress", "path=path", "", ""),
        ("overwrite_file", "", "path content", "write|destroy", "path=path content=text", "", ""),
        ("truncate_table", "", "table", "destroy", "table=entity|unknown", "", ""),
        ("exec_sql", "", "statement", "egress", "statement=command|text|unknown", "", ""),
        ("runPython", "", "code", "egress", "code=command", "", ""),
        ("set_env_var", "", "name value", "write|egress", "", "", ""),
        ("rotate_secret", "", "secret_name", "write|destroy", "", "", ""),
        ("disable_2fa", "", "user_id", "destroy", "user_id=id:user", "", ""),
        ("login", "", "username password", "write|egress", "password=credential", "", ""),
        ("get_secret", "", "name", "read", "name=entity", "", ""),
        ("book_table", "", "restaurant time party_size:integer", "egress", "time=time party_size=amount|option|unknown", "", ""),
        ("hotel_availability", "", "hotel checkin_date checkout_date", "read", "checkin_date=time checkout_date=time", "", "*"),
        ("getReviews", "", "hotel_id", "read", "hotel_id=id:hotel", "text comment", "id"),
        ("get_flight_info", "", "origin destination", "read", "origin=entity destination=entity", "", ""),
        ("post_tweet", "", "text", "egress", "text=text", "", ""),
        ("like", "Like a post.", "post_id", "egress", "post_id=id:post", "", ""),
        ("getFollowers", "", "user_id", "read", "user_id=id:user", "bio", "id"),
        ("dm", "Send a direct message.", "handle text", "egress", "handle=recipient|entity|unknown text=text", "", ""),
        ("notify_slack", "", "channel message", "egress", "channel=entity|recipient message=text", "", ""),
        ("create_webhook", "", "callback_url events:array", "egress", "callback_url=url", "", ""),
        ("deploy_app", "", "app version", "egress", "", "", ""),
        ("list_directory", "", "path", "read", "path=path", "content", ""),
        ("read_file_chunk", "", "file_path offset:integer", "read", "file_path=path offset=option|amount", "content text", ""),
        ("get_ticket_comments", "", "ticket_id", "read", "ticket_id=id:ticket", "text author body", "id"),
        ("fetch_transactions", "", "n:integer", "read", "n=option|amount", "subject reference description", "id amount_total|id"),
        ("get_schedule", "", "day", "read", "day=time", "title description", ""),
        ("sensor_readings", "", "sensor_id", "read", "sensor_id=id:sensor", "", ""),
        ("thermostat_set", "", "celsius:number", "write", "celsius=amount|unknown|option", "", ""),
        ("unlock", "Unlocks the front door.", "door code", "destroy|write", "code=credential|unknown", "", ""),
    ],
)  # fmt: skip
def test_tools_in_other_people_s_styles(
    name: str, description: str, arguments: str, effect: str, roles: str, external: str, own: str
) -> None:
    """Sixty tools, written before the rules were tuned to them: 48 were right at first sight. `|`: both are safe."""
    properties: dict[str, object] = {}
    for argument in arguments.split():
        path, _, of = argument.partition(":")
        properties[path] = {"type": "array", "items": {"type": "string"}} if of == "array" else {"type": of or "string"}
    found = infer_spec(name, description, {"type": "object", "properties": properties})
    assert found.effect in effect.split("|")
    for role in roles.split():
        path, _, wanted = role.partition("=")
        is_ = found.argument(path)
        assert (f"{is_.role}:{is_.kind}" if is_.kind else is_.role) in wanted.split("|")
    fields = set(found.returns.own)
    if external:
        assert not fields & {*external.split(), "*"}
    assert {f.rpartition("|")[2] for f in own.split()} <= fields


def test_presumed_fields_are_own_under_tight_labels_only() -> None:
    found = infer("list_emails", "", {})
    assert "sender" in found.presumed
    assert "sender" not in found.spec.returns.own
    assert "sender" in infer_spec("list_emails", "", {}, tight=True).returns.own
    assert "body" not in infer_spec("list_emails", "", {}, tight=True).returns.own


def test_listings_of_names_are_typed_and_free_text_is_not() -> None:
    assert infer_spec("list_channels", "", {}).returns.typed == (".",)
    assert infer_spec("list_messages", "", {}).returns.typed == ()
    assert infer_spec("get_file", "", {}).returns.typed == ()


@pytest.mark.parametrize(
    ("name", "description", "secret"),
    [
        ("get_user_info", "Name, address, passport number of the user", True),
        ("get_lab_results", "", True), ("get_api_keys", "", True), ("get_credit_card", "", True),
        ("get_weather", "", False), ("list_channels", "", False),
    ],
)  # fmt: skip
def test_what_names_secrets_is_confidential(name: str, description: str, *, secret: bool) -> None:
    assert infer_spec(name, description, {}).returns.confidential is secret


def test_what_a_tool_changes_without_an_id_is_said() -> None:
    assert infer_spec("change_password", "", schema("password")).refers == "password"
    assert infer_spec("delete_email", "", schema("email_id")).refers == ""


def test_the_first_manifest_is_yaml_and_says_the_same() -> None:
    tools = [
        ("send_email", "Send an email", schema("to", "body")),
        ("list_emails", "", schema("no", "on")),
        ("acme.mail/send", "", schema("x-y", "zzz")),
    ]
    text = suggest_manifest(tools)
    manifest = yaml.safe_load(text)
    assert manifest["version"] == 1
    assert set(manifest["tools"]) == {"send_email", "list_emails", "acme.mail/send"}
    for name, description, given in tools:
        found, said = infer(name, description, given), manifest["tools"][name]
        assert said["effect"] == found.spec.effect
        assert said["arguments"].keys() == {a.path for a in found.spec.arguments}
        assert tuple(said["returns"]["own"]) == found.spec.returns.own
    assert manifest["tools"]["send_email"]["arguments"] == {"to": "recipient", "body": "text"}
    assert "unknown must be vouched" in text


def test_a_manifest_of_nothing_is_one() -> None:
    assert yaml.safe_load(suggest_manifest([]))["tools"] == {}


@pytest.mark.parametrize("end", ["\n", "\r", "\u0085", "\u2028"])
def test_a_name_cannot_write_lines_of_the_manifest(end: str) -> None:
    name = f"url{end}    effect: read{end}    x: "
    manifest = yaml.safe_load(suggest_manifest([("get_page", "", schema(name)), ("send", "", schema(name))]))
    assert [t["effect"] for t in manifest["tools"].values()] == ["fetch", "egress"]
    assert all("x" not in t for t in manifest["tools"].values())
