//! What a subscription or an invoice says that journeys must be able to tell apart (WS-103).

use mainspring_schemas::Properties;
use serde_json::Value;

use super::{seconds, stripe::About};

/// How a value is taken over.
#[derive(Clone, Copy)]
enum As {
    /// As it stands.
    Is,
    /// Unix seconds as an instant.
    Instant,
    /// An object by its id, a text as it stands.
    Id,
}

type Row = (&'static str, &'static [&'static str], As);

/// Name of the property, and where it is looked for: the first pointer that leads to a value wins.
const SUBSCRIPTION: [Row; 9] = [
    ("subscriptionId", &["/id"], As::Is),
    ("status", &["/status"], As::Is),
    ("cancelAtPeriodEnd", &["/cancel_at_period_end"], As::Is),
    ("currentPeriodEnd", &["/current_period_end", "/items/data/0/current_period_end"], As::Instant),
    ("trialEnd", &["/trial_end"], As::Instant),
    ("priceId", &["/items/data/0/price"], As::Id),
    ("productId", &["/items/data/0/price/product"], As::Id),
    ("quantity", &["/items/data/0/quantity", "/quantity"], As::Is),
    ("currency", &["/currency", "/items/data/0/price/currency"], As::Is),
];

const INVOICE: [Row; 12] = [
    ("invoiceId", &["/id"], As::Is),
    ("invoiceNumber", &["/number"], As::Is),
    ("status", &["/status"], As::Is),
    ("amountDue", &["/amount_due"], As::Is),
    ("amountPaid", &["/amount_paid"], As::Is),
    ("amountRemaining", &["/amount_remaining"], As::Is),
    ("currency", &["/currency"], As::Is),
    ("attemptCount", &["/attempt_count"], As::Is),
    ("nextPaymentAttempt", &["/next_payment_attempt"], As::Instant),
    ("billingReason", &["/billing_reason"], As::Is),
    ("subscriptionId", &["/subscription", "/parent/subscription_details/subscription"], As::Id),
    ("hostedInvoiceUrl", &["/hosted_invoice_url"], As::Is),
];

/// Adds what is present and not null.
pub(super) fn add(properties: &mut Properties, about: About, subject: &Value) {
    let rows: &[Row] = match about {
        About::Customer => &[],
        About::Subscription => &SUBSCRIPTION,
        About::Invoice => &INVOICE,
    };
    for (name, places, form) in rows {
        let found = places.iter().find_map(|place| subject.pointer(place).filter(|value| !value.is_null()));
        let value = found.and_then(|value| match form {
            As::Is => Some(value.clone()),
            As::Instant => seconds(Some(value)).map(|instant| Value::from(instant.to_string())),
            As::Id => Some(value.get("id").unwrap_or(value).clone()),
        });
        if let Some(value) = value {
            properties.insert((*name).to_owned(), value);
        }
    }
}
