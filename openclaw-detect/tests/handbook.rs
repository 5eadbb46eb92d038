//! The handbook's page on rules says what the code does: its tables are the code's, and its examples load.

use openclaw_detect::field::Type;
use openclaw_detect::{EventKind, Field, KindSet, RuleSet, Source};

const PAGE: &str = include_str!("../../docs/rules.md");

/// What the page has between two marks.
fn part(name: &str) -> &'static str {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (_, after) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("docs/rules.md lacks {begin}"));
    after.split_once(&end).unwrap_or_else(|| panic!("docs/rules.md lacks {end}")).0
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_pages_table_of_fields_is_the_codes() {
    let mut table = String::new();
    for field in Field::ALL {
        let value_type = match field.value_type() {
            Type::Str => "text",
            Type::Int => "number",
            Type::Bool => "boolean",
            Type::Ip => "address",
            Type::List => "list",
        };
        let kinds = if field.kinds() == KindSet::ALL {
            "all".to_owned()
        } else {
            quoted(field.kinds().iter().map(EventKind::name))
        };
        table.push_str(&format!(
            "| `{}` | {} | {value_type} | {kinds} | {} |\n",
            field.name(),
            quoted(field.aliases().iter().copied()),
            // A bar would end the table's cell.
            field.help().replace('|', "\\|"),
        ));
    }
    assert_eq!(part("fields"), table, "docs/rules.md must hold this table:\n{table}");
}

#[test]
fn the_pages_table_of_kinds_is_the_codes() {
    let table: String = EventKind::ALL
        .iter()
        .map(|kind| format!("| `{}` | {} |\n", kind.name(), quoted(kind.actions().iter().copied())))
        .collect();
    assert_eq!(part("kinds"), table, "docs/rules.md must hold this table:\n{table}");
}

#[test]
fn the_pages_examples_load_without_a_warning() {
    let mut examples = 0;
    for block in PAGE.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap().to_owned();
        let mut sources = vec![Source::shipped_lists()];
        // What changes rules that ship needs them.
        if text.contains("overrides:") {
            sources = Source::shipped();
        }
        let shipped = RuleSet::load(&sources).unwrap().len();
        sources.push(Source { name: "docs/rules.md".to_owned(), text });
        let rules = RuleSet::load(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(rules.warnings().0.len(), 0, "{}", rules.warnings());
        examples += rules.len() + rules.disabled() - shipped;
    }
    assert_eq!(examples, 18);
}

#[test]
fn the_pages_mistake_is_shown_as_the_code_shows_it() {
    let rules = PAGE.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let text = rules.replace("process.parent not", "proces.parent not");
    let errors = RuleSet::load(&[Source { name: "my.yml".to_owned(), text }]).unwrap_err().to_string();
    assert!(PAGE.contains(&format!("```text\n{errors}\n```")), "{errors}");
}
