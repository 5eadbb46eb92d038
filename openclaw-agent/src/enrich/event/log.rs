//! What a line of a log tells.

use openclaw_detect::{Field, Value};

use super::value::{number, text};
use crate::logs::{Entry, Login, Request, What};

/// The value of `event.action`.
pub(super) fn action(entry: &Entry) -> &'static str {
    match &entry.what {
        What::Login(login) if login.success => "login_succeeded",
        What::Login(_) => "login_failed",
        What::Request(_) => "request",
    }
}

/// The value of one of its fields.
pub(super) fn field(entry: &Entry, field: Field) -> Option<Value<'_>> {
    match field {
        Field::EventId => Some(Value::Str(&entry.id)),
        Field::EventOriginal => text(&entry.original),
        Field::LogSource => text(&entry.origin.source),
        Field::LogPath => optional(&entry.origin.path),
        _ => match &entry.what {
            What::Login(login) => login_field(login, field),
            What::Request(request) => request_field(request, field),
        },
    }
}

fn login_field(login: &Login, field: Field) -> Option<Value<'_>> {
    match field {
        Field::EventOutcome => Some(Value::Str(if login.success { "success" } else { "failure" })),
        Field::SourceIp => login.client.map(Value::Ip),
        Field::SourcePort => login.port.map(number),
        Field::ServiceName => optional(&login.service),
        Field::UserName => optional(&login.user),
        Field::AuthenticationMethod => optional(&login.method),
        _ => None,
    }
}

fn request_field(request: &Request, field: Field) -> Option<Value<'_>> {
    match field {
        Field::SourceIp => request.client.map(Value::Ip),
        Field::SourcePort => request.port.map(number),
        Field::ServiceName => optional(&request.service),
        Field::UserName => optional(&request.user),
        Field::HttpMethod => optional(&request.method),
        Field::HttpVersion => optional(&request.version),
        Field::HttpStatus => request.status.map(number),
        Field::HttpBytes => request.bytes.and_then(|bytes| i64::try_from(bytes).ok()).map(Value::Int),
        Field::HttpReferrer => optional(&request.referrer),
        Field::UrlOriginal => text(&request.target),
        Field::UrlPath => text(request.path()),
        Field::UrlQuery => request.query().map(Value::Str),
        Field::UrlDecoded => text(&request.decoded),
        Field::UrlDomain => optional(&request.domain),
        Field::UserAgent => optional(&request.agent),
        _ => None,
    }
}

fn optional(value: &Option<String>) -> Option<Value<'_>> {
    text(value.as_deref()?)
}
