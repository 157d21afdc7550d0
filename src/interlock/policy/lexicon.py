"""English verbs and nouns as tool makers and users use them: what a word asks for, and what it speaks of.

Two tables. `VERBS` sorts verbs into classes of action (`send`, `delete`, `pay`, …), a verb may have several; `NOUNS`
sorts nouns into classes of object. Every inflected form is made from the base form once, at import, so that a look-up
is one dictionary access and an unknown word stays unknown. Nothing here knows a particular service, tool or task.
A missing synonym costs a question or a refusal, a wrong one opens a tool too many: the static rules still hold.
"""

# ruff: noqa: E501 - word lists are easier to check on one line
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

Form: TypeAlias = Literal["base", "s", "ing", "past"]


class Verb(NamedTuple):
    """A word read as a verb: its base form, and which inflection it is."""

    lemma: str
    form: Form


# Joined words (`set_up`) are phrasal verbs, see PHRASAL.


def word_set(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


_CLASSES = {
    "read": "get list search read find show check count lookup look_up look view query describe retrieve summarise "
    "summarize compare explain tell_me see identify determine calculate compute analyse analyze review inspect lookup "
    "detect monitor track trace preview browse translate convert estimate evaluate extract scan select verify "
    "validate watch recommend suggest figure_out find_out ask_about brief_me give_me show_me list_out count_up is has "
    "load locate measure discover recall rank sort filter poll ping_status peek diff parse predict classify think "
    "know wonder learn understand guess help enumerate lookup research examine audit study investigate whoami",
    "fetch": "fetch open visit browse download go_to crawl scrape surf navigate curl wget google click research",
    "send": "send ask_for email mail message text dm notify tell inform contact write_to reach_out let_know thank "
    "congratulate warn alert brief relay ping fire_off shoot_over send_over send_round pass_over sms fax deliver dispatch remind ask pass_on pass_along convey "
    "announce apologise apologize greet invite_by_mail cc bcc report mention get_in_touch "
    "follow_up check_with touch_base nudge page mail_out send_out whatsapp slack chase get_back message_out submit",
    "reply": "reply respond answer get_back write_back text_back email_back message_back acknowledge",
    "forward": "forward pass_on pass_along relay redirect cc bcc",
    "create": "create issue make generate new write draft compose set_up establish found build prepare log record save "
    "store register open start initiate produce compile put write_down note_down jot jot_down note type_up duplicate "
    "copy clone insert enter sign_up set raise file init spin_up fork define remind_me write_up plan provision "
    "zip zip_up compress pack draw_up put_together whip_up knock_up type pen scribble bring_in fill_in fill_out import draw sketch design print capture keep document memorise memorize remember track print request "
    "submit add launch enroll enrol",
    "add": "add swap exchange append insert attach include put throw_in toss_in throw toss drop enter enroll enrol onboard stick "
    "pop extend tack pack hook_up bring_in subscribe log list restock stock assign connect link",
    "update": "update use resize adapt amend push grade mark_down mark_up change edit modify rename move set adjust fix correct replace revise amend alter append extend "
    "reschedule postpone mark complete assign reassign archive label tag merge switch raise lower increase decrease "
    "reduce bump push_back bring_forward put_off delay shift swap convert rewrite rephrase patch put turn flag pin "
    "star unpin unflag tick tick_off check_off cross_off finish resolve reopen close unarchive snooze prolong "
    "renew upgrade downgrade restore revert undo translate format reformat sort sort_out tidy clean_up transform "
    "configure customise customize save make redirect reroute upsert overwrite refresh sync synchronise "
    "synchronize cut shorten lengthen round allocate transfer promote demote track prioritise prioritize apply bring "
    "advance progress scale rotate rebook take_over hand_over route group categorise categorize classify organise "
    "organize triage scrap",
    "delete": "delete swap exchange remove cancel erase clear wipe drop purge trash discard get_rid revoke terminate unsubscribe "
    "throw_off chuck_out boot_out toss_out turf_out boot chuck take_away strip_of write_off weed_out get_off kick ban kick_out throw_out throw_away take_off take_down take_out call_off unshare uninvite disinvite withdraw "
    "detach disconnect unlink dismiss reject_all destroy void annul scrap eliminate empty clean_up clean_out strike "
    "cross_out cut exclude expel evict fire dismiss lay_off unfriend unfollow delist uninstall deregister unregister "
    "bin flush prune truncate kill stop quit end close deactivate disable cross_off opt_out unassign unpublish "
    "retract recall abort sack shred nuke ditch get_out tear_down toss strip uncheck block mute leave unset "
    "decommission drop_out back_out log_out free release expire invalidate close_down bail",
    "share": "share hand grant give provide allow permit let expose unlock publish invite authorise authorize "
    "delegate circulate distribute make_public give_access entitle",
    "invite": "invite add include bring get get_in let_in bring_in bring_on summon welcome recruit join",
    "pay": "pay transfer wire settle settle_up square_up pay_for pay_in remit donate tip top_up charge deposit withdraw reimburse repay pay_back refund "
    "pay_off compensate credit venmo paypal fund invest split chip_in spend cover debit bill buy sell trade stake "
    "pay_out cash_out redeem bid send_money disburse payout tip contribute",
    "buy": "buy take purchase order opt_for go_with get checkout check_out shop grab pick_up stock_up rent subscribe hire acquire reorder "
    "procure",
    "refund": "refund reimburse return send_back give_back credit compensate repay pay_back chargeback",
    "book": "book reserve take fix get_in opt_for go_with get_on schedule arrange plan appoint rent hire organise organize set_up rebook prebook hold "
    "block_off sign_up register fix_up pencil_in slot_in order get enroll enrol preorder secure lock_in call",
    "post": "post publish tweet share announce blog broadcast retweet comment react put_up toot "
    "crosspost advertise pin release tell proclaim submit repost quote caption",
    "upload": "upload put export attach submit push import put_up back_up backup sync transfer ship",
    "execute": "execute run deploy launch start stop restart reboot build trigger invoke test roll_back rollback "
    "roll_out ship release bounce migrate kick_off apply compile install provision scale scale_up scale_down "
    "shut_down spin_up spin_down rerun retry redeploy simulate call perform process promote push eval activate "
    "bring_up bring_down cycle train schedule",
    "control": "turn turn_on turn_off switch switch_on switch_off lock unlock dim brighten set arm disarm play pause "
    "resume skip open close shut start stop enable disable raise lower increase decrease mute unmute heat heat_up cool warm ramp_up dial_up dial_down bump_up power_up power_down fire_up lock_up open_up close_up "
    "boil brew put_on activate deactivate toggle adjust power control connect freeze unfreeze block unblock light "
    "suspend reduce turn_up turn_down crank crank_up secure silence queue make warm_up cool_down shut_off cut_off "
    "vacuum mow water feed preheat charge dock park snooze kill",
    "auth": "login log_in sign_in authenticate reset change rotate verify enrol",
    "respond": "approve accept decline reject confirm sign grant deny authorise authorize rsvp refuse agree endorse "
    "green_light sign_off okay ok turn_down acknowledge let apply veto",
    "like": "like rate grade follow review vote upvote downvote star favourite favorite react bookmark subscribe endorse "
    "score heart love",
    "request": "request apply escalate put_in order ask sign_up demand file ask_for renew submit refill claim",
    "light": "make do place issue process initiate perform arrange complete put leave shoot give have take run "
    "kick_off need want conduct carry_out throw grant raise hand_in",
}

POLES: Mapping[str, tuple[str, int]] = {
    verb: (axis, sign)
    for axis, plus, minus in (
        ("power", "turn_on switch_on enable activate start play resume put_on unmute",
         "turn_off switch_off shut_off disable deactivate stop pause shut_down mute cut_off kill cut"),
        ("door", "lock close shut", "unlock open"),
        ("alarm", "arm", "disarm"),
        ("answer", "approve accept grant agree confirm okay ok sign_off allow authorize authorise endorse",
         "reject decline deny refuse turn_down veto dismiss"),
        ("follow", "follow subscribe like", "unfollow unsubscribe unlike"),
        ("block", "block ban freeze", "unblock unban unfreeze"),
        ("presence", "add invite create book reserve", "remove kick delete cancel call_off scrap kick_out uninvite terminate"),
        ("share", "share publish", "unshare unpublish revoke"),
    )
    for verbs, sign in ((plus, 1), (minus, -1))
    for verb in verbs.split()
}  # fmt: skip

# What a request of one class also needs tools of another class for; only where the object fits.
ALSO: Mapping[str, frozenset[str]] = {
    "send": word_set("reply forward post share pay refund invite upload respond request"),
    "reply": word_set("send post"),
    "forward": word_set("send share"),
    "create": word_set("add book post send share upload request update execute like"),
    "add": word_set("update share invite book create post"),
    "update": word_set("add create control auth pay share request respond"),
    "delete": word_set("update control respond"),
    "share": word_set("send invite post upload update"),
    "invite": word_set("share add create update send book"),
    "pay": word_set("create update book request refund"),
    "buy": word_set("pay add book create request"),
    "refund": word_set("pay request"),
    "book": word_set("create buy add request invite"),
    "post": word_set("send create upload share add"),
    "upload": word_set("post create share send add"),
    "execute": word_set("control create update post"),
    "control": word_set("update execute delete"),
    "auth": word_set("update create"),
    "respond": word_set("update send"),
    "like": word_set("post create"),
    "request": word_set("create book send buy"),
}
# Verbs that do one particular thing. A wish for one of them opens no tool for another, and no tool for one of them is
# opened by a wish that merely resembles it.
PARTICULAR: Mapping[str, int] = {
    verb: n
    for n, verbs in enumerate(
        (
            "restart reboot bounce cycle relaunch", "deploy ship release roll_out redeploy launch promote",
            "rollback roll_back revert undo restore back_out", "scale scale_up scale_down resize bump",
            "run execute invoke trigger eval rerun", "escalate", "archive", "export download",
            "reschedule postpone move rename delay push_back bring_forward put_off shift rebook shorten extend",
            "rotate renew", "merge", "close resolve finish complete close_down",
            "kick ban kick_out", "return send_back", "assign reassign", "copy duplicate clone back_up backup", "zip zip_up compress pack", "import", "snooze", "migrate",
        )
    )
    for verb in verbs.split()
}  # fmt: skip

# Also common nouns or adjectives, beside those in `_NOUNS`.
_ALSO_NOUNS = frozenset(
    "email mail message text dm sms fax book order transfer post share call report comment note update change charge "
    "review rent refund request purchase ping set file place mark run record rate like release reset return block "
    "lock deposit tip list search view query check count look show find help guess study track watch load measure "
    "rank sort filter poll scan preview select monitor audit research download open visit click google cc bcc page "
    "slack chase draft copy clone start print document design plan build drop stick pop stock link bump delay shift "
    "swap patch put turn flag pin star cut round format close switch scale route group bin end stop kill fire quit "
    "empty void clean free strike recall block mute leave log cover credit debit bill split spend fund trade stake "
    "bid tip order shop hire blog tweet comment quote caption post push ship import export launch test trigger "
    "bounce install cycle train process light power control arm dim heat cool warm water feed charge dock park hold "
    "play pause skip raise lower queue sign grant okay ok like rate vote follow star favourite favorite score heart "
    "love claim demand apply answer reply forward contact alert brief hand thank water rename escalate let get have "
    "need want take give is has do make bring throw toss grab welcome appoint slot secure public label tag complete "
    "toggle sync backup project present object permit welcome advance progress promote cash strip dispatch mention "
    "fix credit trace lookup schedule new save silence separate live close shut short clear exit limit access "
    "interview transport hold stay fork commit branch issue merge deploy default store whatsapp venmo paypal page "
    "text round notice perform file redeem sell".split()
) - frozenset(
    "find get give make do bring take let have add rename deploy merge escalate is has show check put "
    "search throw toss sell redeem perform apply grant remind save".split()
)

# Verbs whose content is free and whose object is a person: what follows says what about, not what to act on.
TELLING = frozenset(
    "tell inform notify contact write_to reach_out let_know thank congratulate warn alert brief ping remind ask email "
    "mail text dm sms message cc bcc apologise apologize greet get_in_touch follow_up check_with touch_base nudge "
    "chase get_back write_back text_back email_back message_back whatsapp reply respond answer slack relay".split()
)

# Verbs that mean nothing without their object: `make a payment`, `I need a table`.
LIGHT = frozenset(_CLASSES["light"].split()) - frozenset({"grant", "arrange", "issue", "raise", "run"})

_IRREGULAR = {
    "sent": "send", "paid": "pay", "repaid": "repay", "bought": "buy", "wrote": "write", "written": "write",
    "rewrote": "rewrite", "rewritten": "rewrite", "made": "make", "built": "build", "kept": "keep", "got": "get",
    "gotten": "get", "gave": "give", "given": "give", "took": "take", "taken": "take", "told": "tell", "found": "find",
    "saw": "see", "seen": "see", "knew": "know", "known": "know", "thought": "think", "understood": "understand",
    "did": "do", "done": "do", "had": "have", "went": "go", "gone": "go", "drew": "draw", "drawn": "draw",
    "threw": "throw", "thrown": "throw", "stuck": "stick", "struck": "strike", "withdrew": "withdraw",
    "withdrawn": "withdraw", "overwrote": "overwrite", "overwritten": "overwrite", "undid": "undo", "undone": "undo",
    "brought": "bring", "lent": "lend", "sold": "sell", "spent": "spend", "held": "hold", "ran": "run",
    "shot": "shoot", "shut": "shut", "spun": "spin", "froze": "freeze", "frozen": "freeze", "unfroze": "unfreeze",
    "lit": "light", "fed": "feed", "forgot": "forget", "forgotten": "forget", "left": "leave", "began": "begin",
    "begun": "begin", "chose": "choose", "chosen": "choose", "dealt": "deal", "went_to": "go_to", "learnt": "learn",
    "let": "let", "put": "put", "set": "set", "cut": "cut", "read": "read", "quit": "quit", "split": "split",
    "bid": "bid", "reset": "reset", "upset": "upset", "tore": "tear", "torn": "tear", "laid": "lay", "meant": "mean",
    "dealt_with": "deal_with", "led": "lead", "met": "meet", "said": "say", "broke": "break", "rebuilt": "rebuild",
}  # fmt: skip

_DOUBLED = frozenset(
    "set put get cut let run stop drop plan tag pin ban scan book_in jot log shop ship chat fit nag clip trim "
    "transfer refer cancel submit permit commit debit_ unpin tip bin hit sit rid dim arm_ split quit strip scrap rip "
    "zip map spin swap skip control label travel fax_ dub begin forget format_ chop blog top mop knit kidnap prefer "
    "defer enrol enroll_ pop unset reset put_ nod wrap grab dig stir mow_ slot pat plug unplug peg flag ".split()
)

# (verb, particle or last word) -> joined verb; the words between are the object: `set the meeting up`.
_PHRASAL = (
    "set up;look up;sign up;write down;note down;jot down;take off;throw off;take down;take out;kick out;throw out;throw away;"
    "throw in;toss in;top up;pay back;pay off;pay out;give back;send back;send out;mail out;go to;log in;log out;"
    "sign in;sign off;turn on;turn off;turn up;turn down;switch on;switch off;put on;put off;put in;put up;push back;"
    "bring forward;call off;shut down;shut off;spin up;spin down;roll back;roll out;kick off;carry out;clean up;"
    "clean out;cross off;cross out;tick off;check off;check out;check in;back up;opt out;lay off;pass on;pass along;"
    "reach out;follow up;get back;write back;text back;email back;message back;figure out;find out;type up;write up;"
    "fix up;block off;pencil in;slot in;stock up;pick up;chip in;cash out;scale up;scale down;bring up;bring down;"
    "crank up;warm up;cool down;cut off;hand in;hand over;take over;tear down;drop out;back out;lock in;sort out;"
    "close down;chuck out;boot out;toss out;turf out;take away;strip of;write off;weed out;get off;get out;get in;get on;let in;bring in;bring on;fire off;shoot over;send over;send round;pass over;zip up;draw up;put together;whip up;knock up;fill in;fill out;opt for;go for;go with;settle up;square up;pay for;pay in;heat up;ramp up;dial up;dial down;bump up;power up;power down;fire up;lock up;open up;close up;hook up;write to;check with;touch base;get rid;ask for;go through"
)
# One line a class: synonyms and kinds. A word may stand in several classes.
_NOUNS = {
    "email": "email mail e-mail inbox newsletter mailbox outbox gmail outlook spam",
    "message": "message notification reply response answer announcement greeting alert",
    "dm": "dm direct_message private_message whatsapp sms text text_message slack chat conversation thread",
    "letter": "letter fax postcard",
    "event": "event mtg appt meeting appointment calendar lunch dinner_date interview invitation invite conference "
    "session workshop party breakfast brunch sync standup webinar celebration slot call_slot coffee gathering visit chat catch-up catchup one-on-one huddle kickoff rehearsal lesson class training session "
    "calendar_event calendar_entry demo reception ceremony",
    "interview": "interview candidate applicant",
    "reminder": "reminder alarm timer",
    "folder": "folder directory",
    "file": "file snapshot document doc spreadsheet sheet attachment pdf presentation slide photo picture "
    "image video note agenda draft template report summary minutes backup text_file csv log archive memo paper "
    "contract wiki text_document recording scan deck slides",
    "note": "note memo minutes journal diary jotting",
    "money": "money wallet dollar euro pound cash fund amount usd eur gbp chf yen buck franc bitcoin crypto currency tip sum "
    "rupee coin peso quid cent donation wage savings",
    "payment": "payment donation transaction transfer standing_order direct_debit wire deposit withdrawal payout recurring_payment "
    "remittance debit instalment installment charge scheduled_payment scheduled_transaction salary_payment autopay",
    "bill": "bill invoice rent fee fine debt loan tuition tax electricity_bill rate mortgage premium dues expense "
    "receipt",
    "refund": "refund reimbursement money_back return chargeback compensation",
    "balance": "balance statement iban",
    "card": "card credit_card debit_card payment_method bank_card",
    "pin": "pin pin_code",
    "channel": "channel workspace group room slack server forum chatroom community",
    "team": "team organisation organization department staff squad crew",
    "person": "user player worker member contact person participant attendee guest friend colleague employee collaborator invitee "
    "everyone everybody follower subscriber customer client boss manager landlord candidate coworker teammate "
    "assistant reviewer people staff applicant student tenant recipient doctor dr patient him her",
    "profile": "profile address phone phone_number telephone bio detail personal_detail contact_detail info "
    "information personal_data username user_info street first_name last_name surname biography mobile contact_info "
    "email_address user_information residence date_of_birth ",
    "address": "address street postcode zip residence email_address shipping_address delivery_address",
    "contact": "contact address_book contact_card phone_book",
    "account": "account login signup membership subscription_account bank_account user_account",
    "password": "password passcode passphrase credential 2fa two_factor mfa login pwd pin_password",
    "key": "key api_key token secret access_key certificate ssh_key credential",
    "permission": "permission ownership access role privilege rights visibility sharing edit_access view_access",
    "page": "page web_page webpage website site link url article blog homepage news wiki web internet online "
    "landing_page http https www rss feed feed_page news_site wikipedia web_site hyperlink",
    "hotel": "hotel hostel room suite accommodation stay lodging airbnb inn motel resort night guesthouse",
    "restaurant": "restaurant table dinner lunch bistro cafe pizzeria brunch diner eatery bar breakfast",
    "car": "car vehicle van rental taxi cab ride truck scooter uber suv",
    "flight": "flight plane airline seat airfare plane_ticket flight_ticket",
    "train": "train train_ticket rail bus ferry coach",
    "booking": "booking reservation trip itinerary stay_booking",
    "travel_ticket": "ticket fare",
    "order": "order purchase delivery parcel package shipment",
    "cart": "cart basket trolley shopping_cart shopping_basket",
    "product": "product item article goods groceries thing",
    "review": "review rating star feedback testimonial",
    "issue": "issue bug bug_report defect",
    "ticket": "ticket support_ticket case incident request_ticket",
    "pull_request": "pull_request pr merge_request mr patch",
    "branch": "branch",
    "repository": "repository repo codebase",
    "code": "script code command job pipeline workflow cron test query build program shell terminal migration sql",
    "service": "service deployment cluster environment instance container pod server vm app application release "
    "version production staging replica node host",
    "database": "database table db row record schema column",
    "post": "post tweet story thread status status_update reel toot blog_post timeline follower picture social_media "
    "linkedin facebook twitter instagram mastodon world public",
    "comment": "comment remark reply_comment",
    "task": "task todo to_do to-do action_item chore errand assignment card_task",
    "list": "list shopping_list watchlist wishlist playlist mailing_list checklist",
    "shopping_list": "shopping_list grocery_list groceries",
    "light": "light lamp bulb lighting chandelier",
    "door": "door gate lock front_door",
    "garage": "garage garage_door",
    "thermostat": "thermostat temperature heating degree ac air_conditioning heater radiator celsius fahrenheit "
    "air_conditioner",
    "alarm": "alarm security_system alarm_system burglar_alarm",
    "music": "music song playback playlist album track radio podcast speaker",
    "device": "device camera blinds curtain tv television vacuum fan oven speaker dishwasher plug sprinkler appliance "
    "sensor coffee_machine washer kettle",
    "leave": "leave vacation holiday time_off day_off pto sick_leave absence days_off parental_leave",
    "salary": "salary pay wage pay_rise raise compensation payroll bonus paycheck",
    "employee": "employee hire new_hire staff_member colleague worker starter joiner",
    "lead": "lead prospect opportunity",
    "deal": "deal opportunity pipeline",
    "campaign": "campaign newsletter mailing mailing_list",
    "phone_call": "call phone_call",
    "prescription": "prescription medication medicine drug refill pill antibiotics",
    "symptom": "symptom headache fever pain cough dizziness nausea",
    "insurance": "insurance policy coverage",
    "record": "record medical_record health_record lab_result result chart",
    "subscription": "subscription membership plan",
    "discount": "discount coupon promo voucher promo_code code discount_code",
    "stock": "stock share_stock bond fund etf portfolio position",
}

# What a noun asks for when a light verb carries it: `make a payment`, `I want a refund`, `do a rollback`.
ACTION_NOUNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        word: tuple(classes.split())
        for words, classes in {
            "payment transfer deposit donation standing_order wire direct_debit": "pay",
            "withdrawal": "pay",
            "refund reimbursement money_back": "refund pay",
            "purchase order": "buy",
            "reservation booking table room hotel flight taxi cab seat ticket": "book buy",
            "appointment meeting event dinner lunch brunch breakfast": "book create",
            "call": "book create send",
            "invitation invite": "invite send create",
            "reply response answer": "reply send",
            "post tweet announcement story": "post",
            "comment review remark": "post",
            "rating": "post like",
            "change update edit correction adjustment amendment raise promotion bonus": "update",
            "cancellation deletion removal": "delete",
            "reminder alarm timer": "create",
            "note task todo list entry record": "create",
            "document file folder spreadsheet report copy backup ticket issue bug branch pull_request": "create",
            "deployment release rollback restart rollout": "execute",
            "message email mail dm text sms letter notification direct_message private_message text_message": "send",
            "leave vacation holiday time_off day_off prescription refill": "request",
            "access permission": "share",
            "upload": "upload",
            "discount coupon voucher": "update",
        }.items()
        for word in words.split()
    }
)

# Classes of objects that people name by each other's words; an exact fit goes first.
NEAR: tuple[frozenset[str], ...] = (
    frozenset({"email", "message", "dm", "letter"}),
    frozenset({"message", "dm", "channel", "comment", "post"}),
    frozenset({"money", "payment", "bill", "refund", "balance", "account"}),
    frozenset({"event", "reminder", "interview"}),
    frozenset({"reminder", "task", "list", "note"}),
    frozenset({"file", "note", "record", "folder"}),
    frozenset({"hotel", "restaurant", "car", "flight", "train", "booking", "travel_ticket"}),
    frozenset({"order", "cart", "product"}),
    frozenset({"issue", "ticket", "task", "pull_request"}),
    frozenset({"post", "comment", "page", "review"}),
    frozenset({"profile", "address", "account", "contact", "person"}),
    frozenset({"password", "pin", "key"}),
    frozenset({"service", "code", "repository", "branch"}),
    frozenset({"door", "garage", "alarm", "device", "light", "thermostat", "music"}),
    frozenset({"deal", "lead", "contact"}),
    frozenset({"person", "employee", "contact", "team"}),
)

# The one word for the kind of an object, so that the id which `list_mails` returns fits `delete_email`.
KINDS: Mapping[str, str] = MappingProxyType(
    {"mail": "email", "e-mail": "email", "inbox": "email", "newsletter": "email", "meeting": "event",
     "appointment": "event", "calendar_event": "event", "calendar": "event", "document": "file", "doc": "file",
     "spreadsheet": "file", "sheet": "file", "attachment": "file", "payment": "transaction", "transfer": "transaction",
     "pr": "pull_request", "merge_request": "pull_request", "mr": "pull_request", "dm": "message", "sms": "message",
     "direct_message": "message", "todo": "task", "to_do": "task", "reservation": "booking", "repo": "repository",
     "webpage": "page", "web_page": "page", "directory": "folder", "person": "user", "member": "user",
     "tweet": "post", "customer": "customer", "channel_message": "message", "standing_order": "standing_order",
     "txn": "transaction", "msg": "message", "img": "image", "usr": "user", "acct": "account", "org": "organization",
     "organisation": "organization", "scheduled_transaction": "transaction", "scheduled_payment": "transaction",
     "recurring_payment": "transaction", "http": "page", "https": "page", "text_file": "file"}
)  # fmt: skip


def _inflect(verb: str) -> dict[str, Form]:
    """The regular forms of `verb`; of a joined verb, those of its first word."""
    head, _, rest = verb.partition("_")
    tail = f"_{rest}" if rest else ""
    if head.endswith("e") and not head.endswith(("ee", "oe", "ye")):
        ing, past = head[:-1] + "ing", head + "d"
    elif head.endswith("y") and head[-2:-1] not in "aeiou":
        ing, past = head + "ing", head[:-1] + "ied"
    elif head in _DOUBLED:
        ing, past = head + head[-1] + "ing", head + head[-1] + "ed"
    else:
        ing, past = head + "ing", head + ("d" if head.endswith("e") else "ed")
    forms: dict[str, Form] = {verb: "base", plural(head) + tail: "s", ing + tail: "ing", past + tail: "past"}
    if head in {"cancel", "label", "travel"}:  # American spelling
        forms |= {head + "ing" + tail: "ing", head + "ed" + tail: "past"}
    forms |= {form + tail: "past" for form, base in _IRREGULAR.items() if base == head and form != head}
    return forms


def plural(noun: str) -> str:
    """The regular plural of a noun, which is also the third person of a verb."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) or noun in {"go", "do"} else "s")


def _verb_forms() -> dict[str, Verb]:
    forms: dict[str, Verb] = {}
    names = [v for verbs in _CLASSES.values() for v in verbs.split()]
    for name in dict.fromkeys(names):
        for form, kind in _inflect(name).items():
            if form not in forms or kind == "base":
                forms[form] = Verb(name, kind)
    for head in PHRASAL:
        for form, kind in _inflect(head).items():
            forms.setdefault(form, Verb(head, kind))
    forms["found"] = Verb("find", "past")  # to found is rare, and a form of `find` is not
    forms["let's"] = Verb("let", "base")
    return forms


def _classes() -> dict[str, frozenset[str]]:
    classes: dict[str, set[str]] = {}
    for name, verbs in _CLASSES.items():
        for verb in verbs.split():
            classes.setdefault(verb, set()).add(name)
    return {verb: frozenset(names) for verb, names in classes.items()}


def _noun_forms() -> dict[str, frozenset[str]]:
    nouns: dict[str, set[str]] = {}
    for name, words in _NOUNS.items():
        for word in words.split():
            for form in (word, plural(word)):
                nouns.setdefault(form, set()).add(name)
    nouns["news"] = {"page"}
    return {word: frozenset(names) for word, names in nouns.items()}


def _phrasal() -> dict[str, Mapping[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for phrase in _PHRASAL.split(";"):
        verb, particle = phrase.split()
        table.setdefault(verb, {})[particle] = f"{verb}_{particle}"
    return {verb: MappingProxyType(particles) for verb, particles in table.items()}


PHRASAL: Mapping[str, Mapping[str, str]] = MappingProxyType(_phrasal())
FORMS: Mapping[str, Verb] = MappingProxyType(_verb_forms())
CLASSES: Mapping[str, frozenset[str]] = MappingProxyType(_classes())
NOUNS: Mapping[str, frozenset[str]] = MappingProxyType(_noun_forms())
AMBIGUOUS = _ALSO_NOUNS | (CLASSES.keys() & NOUNS.keys())  # a verb only where a verb can stand
_SINGULAR = {plural(word): word for words in _NOUNS.values() for word in words.split()}
_PAIRS = frozenset(tuple(word.split("_")) for word in NOUNS if "_" in word)
_LONGEST_COMPOUND = 3


_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\u2010": "-", "\u2011": "-"}
)
_NAME_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")


def folded(text: str) -> str:
    """`text` in the one spelling in which words are compared: NFKC, plain quotes and hyphens. Keeps the case."""
    return unicodedata.normalize("NFKC", text).translate(_QUOTES)


def verb_of(word: str) -> Verb | None:
    """`word`, in lower case, as a verb."""
    return FORMS.get(word)


def singular(word: str) -> str:
    """The singular of a noun; of an unknown word, by the regular rules."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - `ties`, `pies` keep their e
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word  # noqa: PLR2004


def kind_of(word: str) -> str:
    """The canonical word for a kind of object: `mails` and `email` are both `email`."""
    one = singular(word)
    return KINDS.get(one, one)


def name_words(name: str) -> list[str]:
    """The words of one identifier, in lower case: `getUserByID`, `get_user_by_id` and `get-user-by-id` are alike."""
    return [w.lower() for w in _NAME_WORDS.findall(unicodedata.normalize("NFKC", name))]


def compounds(words: Iterable[str]) -> list[str]:
    """`words` with known compound nouns joined: `pull`, `request` become `pull_request`."""
    given, out, i = list(words), [], 0
    while i < len(given):
        for size in range(_LONGEST_COMPOUND, 1, -1):
            part = tuple(given[i : i + size])
            if len(part) == size and part in _PAIRS:
                out.append("_".join(part))
                i += size
                break
        else:
            out.append(given[i])
            i += 1
    return out
