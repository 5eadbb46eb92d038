//! Settings of a webhook.

use std::path::Path;

use serde::Serialize;

use super::read_word;
use crate::alert::Template;
use crate::config::http::Http;
use crate::config::node::Node;
use crate::config::reader::{Reader, Section};
use crate::config::secret::Secret;
use crate::config::trust;

/// An endpoint to which each alert is posted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Webhook {
    /// Where it is.
    #[serde(flatten)]
    pub http: Http,
    /// By which requests are signed; none for no signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// What is posted.
    #[serde(flatten)]
    pub format: WebhookFormat,
}

/// What a webhook is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum WebhookFormat {
    /// The alert as it is.
    Native,
    /// A document in the Elastic Common Schema.
    Ecs,
    /// What a template makes of it.
    Template {
        /// The template. It may hold what the endpoint demands to see, such as a key.
        template: Template,
    },
}

impl Webhook {
    /// One that is told everything as it is.
    pub fn new(http: Http) -> Webhook {
        Webhook { http, secret: None, format: WebhookFormat::Native }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Webhook> {
        let http = Http::read(reader, keys, at, folder, None);
        let secret = keys.take("secret").and_then(|node| {
            reader.parsed(&keys.name("secret"), node, |text| match text.len() {
                0..16 => Err("a secret of less than 16 bytes can be guessed: write a longer one".to_owned()),
                _ => Ok(Secret::new(text)),
            })
        });
        let format = read_format(reader, keys, at, folder);
        Some(Webhook { http: http?, secret, format: format? })
    }
}

fn read_format(
    reader: &mut Reader<'_>,
    keys: &mut Section<'_>,
    at: &Node,
    folder: &Path,
) -> Option<WebhookFormat> {
    #[derive(Clone, Copy, PartialEq)]
    enum Format {
        Native,
        Ecs,
        Template,
    }
    let (text, file) = (keys.take("template"), keys.take("template_file"));
    let template = match (text, file) {
        (Some(_), Some(node)) => {
            reader.problem(
                node.at,
                format!("`{}` is given beside `template`: keep one", keys.name("template_file")),
            );
            return None;
        }
        (Some(node), None) => Some((node, reader.parsed(&keys.name("template"), node, Template::new))),
        (None, Some(node)) => {
            let template = reader.parsed(&keys.name("template_file"), node, |path| {
                let path = folder.join(path);
                let text = trust::read_trusted(&path).map_err(|error| error.to_string())?;
                Template::new(&text).map_err(|reason| format!("{}: {reason}", path.display()))
            });
            Some((node, template))
        }
        (None, None) => None,
    };
    let words = [("native", Format::Native), ("ecs", Format::Ecs), ("template", Format::Template)];
    let format = match keys.take("format") {
        Some(node) => read_word(reader, &keys.name("format"), node, "format", &words)?,
        None if template.is_some() => Format::Template,
        None => Format::Native,
    };
    match (format, template) {
        (Format::Native, None) => Some(WebhookFormat::Native),
        (Format::Ecs, None) => Some(WebhookFormat::Ecs),
        (Format::Template, Some((_, template))) => Some(WebhookFormat::Template { template: template? }),
        (Format::Template, None) => {
            let name = keys.name("template");
            reader.problem(
                at.at,
                format!("`{name}` is missing: give the template, or a file of it as `template_file`"),
            );
            None
        }
        (_, Some((node, _))) => {
            let name = keys.name("format");
            reader.problem(
                node.at,
                format!("a template has no effect here: leave it out, or set `{name}: template`"),
            );
            None
        }
    }
}
