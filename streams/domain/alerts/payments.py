"""The rule `payment`: each payment raises an alert."""

from schemas import money
from schemas.alert_rules import PAYMENT
from schemas.headers import Source
from schemas.records import Alert, RawEvent
from streams.domain.alerts.alert import Occasion, make_alert


def payment_alert(event: RawEvent, src: Source) -> Alert:
    """Return the alert of a payment. Its subject is the session."""
    details = {
        "amount": None
        if event.amount is None
        else money.format_decimal(event.amount, event.currency),
        "currency": event.currency,
        "provider": event.provider,
    }
    paid = (
        event.currency
        if event.amount is None
        else money.format_amount(event.amount, event.currency)
    )
    title = f"Payment of {paid}" if paid else "Payment"
    occasion = Occasion(PAYMENT, event.session_id, event.event_id, title, details)
    return make_alert(event, src, occasion)
