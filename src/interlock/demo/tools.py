"""What the agent can do: plain functions with type hints, as any application has them. None knows of Interlock."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal
from urllib.request import ProxyHandler, build_opener

from interlock.demo.world import World

Status = Literal["open", "shipped", "delayed", "delivered", "refunded"]


def tools(world: World) -> list[Callable[..., Any]]:
    """The functions of an agent at this shop's desk."""

    def read_inbox() -> list[dict[str, str]]:
        """List the mails in the inbox: id, sender, subject, and when each was received."""
        return [{name: mail[name] for name in ("id", "sender", "subject", "received")} for mail in _mails(world)]

    def read_mail(mail_id: str) -> dict[str, str]:
        """Read one mail."""
        for mail in _mails(world):
            if mail["id"] == mail_id:
                return mail
        raise LookupError(f"there is no mail {mail_id}")

    def find_order(order_id: int) -> dict[str, Any]:
        """Look an order up: item, total in EUR, status, the customer's address and note."""
        with closing(world.database()) as db:
            found = db.execute("SELECT id, item, total, status, email, note FROM orders WHERE id = ?", (order_id,))
            names = [column[0] for column in found.description]
            row = found.fetchone()
        if row is None:
            raise LookupError(f"there is no order {order_id}")
        return dict(zip(names, row, strict=True))

    def read_policy(name: str) -> str:
        """Read one of the shop's policies, for example `late-delivery`."""
        return _inside(world.folder / "files", f"{name}.md").read_text("utf-8")

    def fetch_page(url: str) -> str:
        """Read a page."""
        if not url.startswith(("http://", "https://")):
            raise ValueError("only http and https")
        with build_opener(ProxyHandler({})).open(url, timeout=5) as answer:
            return str(answer.read(100_000).decode("utf-8"))

    def send_mail(to: str, subject: str, body: str, attachments: list[str] | None = None) -> str:
        """Send a mail from the desk; attachments are names of the shop's files."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "desk@lamps.example", to, subject
        mail.set_content(body)
        for name in attachments or []:
            content = _inside(world.folder / "files", name).read_bytes()
            mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
        number = len(list(world.outbox.iterdir())) + 1
        (world.outbox / f"{number}.eml").write_bytes(bytes(mail))
        return "sent"

    def update_order(order_id: int, status: Status) -> str:
        """Set an order's status."""
        with closing(world.database()) as db:
            db.execute("UPDATE orders SET status = ? WHERE id = ?", (status, order_id))
        return "done"

    def pay_refund(order_id: int, iban: str, amount: float, reference: str) -> str:
        """Pay an amount in EUR back for an order, to an account."""
        with closing(world.database()) as db:
            db.execute("INSERT INTO payouts (order_id, iban, amount) VALUES (?, ?, ?)", (order_id, iban, amount))
        return f"paid: {reference}"

    def reset_password(customer: str, new_password: str) -> str:
        """Give a customer, named by address, a new password."""
        world.set_password(customer, new_password)
        return "done"

    return [
        read_inbox,
        read_mail,
        find_order,
        read_policy,
        fetch_page,
        send_mail,
        update_order,
        pay_refund,
        reset_password,
    ]


def _mails(world: World) -> list[dict[str, str]]:
    found = []
    for path in sorted(world.inbox.glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = mail.get_body(("plain",))
        found.append(
            {
                "id": f"m{path.name.partition('-')[0]}",
                "sender": str(mail["From"]),
                "subject": str(mail["Subject"]),
                "received": mail["Date"].datetime.isoformat(),
                "body": "" if body is None else str(body.get_content()),
            }
        )
    return found


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("there is no such file")
    return path
