//! `openclaw rules fields`

use std::fmt::Write as _;

use anstream::print;
use anyhow::Result;
use openclaw_detect::{EventKind, Field, KindSet};

use crate::cli::table::Table;
use crate::output::style::{BOLD, DIM};
use crate::output::{Format, Printer};

pub(super) fn fields(format: Format) -> Result<()> {
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        for field in Field::ALL {
            let kinds: Vec<_> = field.kinds().iter().map(EventKind::name).collect();
            let line = serde_json::json!({
                "name": field.name(),
                "aliases": field.aliases(),
                "type": type_name(*field),
                "events": kinds,
                "help": field.help(),
            });
            printer.line(&line.to_string())?;
        }
        return Ok(printer.flush()?);
    }
    let mut table = Table::default();
    for field in Field::ALL {
        let mut help = field.help().to_owned();
        if !field.aliases().is_empty() {
            write!(help, " (also {})", field.aliases().join(", "))?;
        }
        let kinds =
            if field.kinds() == KindSet::ALL { "every event".to_owned() } else { field.kinds().to_string() };
        table.row([
            format!("{BOLD}{}{BOLD:#}", field.name()),
            type_name(*field).to_owned(),
            format!("{DIM}{kinds}{DIM:#}"),
            help,
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

fn type_name(field: Field) -> &'static str {
    use openclaw_detect::field::Type;
    match field.value_type() {
        Type::Str => "text",
        Type::Int => "number",
        Type::Bool => "yes or no",
        Type::Ip => "address",
        Type::List => "list of texts",
    }
}
