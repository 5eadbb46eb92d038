//! The handbook's page on rules says what the code does: its tables are the code's, and its examples load.

use openclaw_detect::field::Type;
use openclaw_detect::{EventKind, Field, KindSet, RuleSet, Source, TestEvents};

const PAGE: &str = include_str!("../../docs/rules.md");
const SIGMA: &str = include_str!("../../docs/sigma.md");

/// What the page has between two marks.
fn part(name: &str) -> &'static str {
    part_of(PAGE, name)
}

fn part_of(page: &'static str, name: &str) -> &'static str {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (_, after) = page.split_once(&begin).unwrap_or_else(|| panic!("the page lacks {begin}"));
    after.split_once(&end).unwrap_or_else(|| panic!("the page lacks {end}")).0
}

#[test]
fn the_table_of_sigmas_fields_is_the_codes() {
    let table: String = openclaw_detect::sigma::fields()
        .into_iter()
        .map(|mapped| {
            let field = match mapped.field {
                Ok(field) if field.contains(' ') => field,
                Ok(field) => format!("`{field}`"),
                Err(why) => format!("none: {why}"),
            };
            format!("| {} | `{}` | {field} |\n", mapped.log_source, mapped.name)
        })
        .collect();
    assert_eq!(part_of(SIGMA, "fields"), table, "docs/sigma.md must hold this table:\n{table}");
}

#[test]
fn the_example_of_a_sigma_rule_becomes_what_the_page_shows() {
    let blocks: Vec<_> =
        SIGMA.split("```yaml\n").skip(1).filter_map(|block| block.split_once("```")).collect();
    let source = |text: &str| Source { name: "sigma.yml".to_owned(), text: text.to_owned() };
    let (imported, mistakes) = openclaw_detect::sigma::import(&[source(blocks[0].0)]);
    let openclaw_detect::sigma::Outcome::Rule { text, .. } = &imported[0].outcome else {
        panic!("{mistakes}")
    };
    assert_eq!(blocks[1].0, text, "docs/sigma.md must hold this rule:\n{text}");
    for (block, _) in &blocks[2..] {
        let rules = RuleSet::load(&[source(&format!("{}---\n{block}", blocks[0].0))]).unwrap();
        assert_eq!(rules.warnings().to_string(), "", "{block}");
    }
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
        let mut sources = vec![Source::shipped_definitions()];
        // What changes rules that ship needs them.
        if text.contains("overrides:") {
            sources = Source::shipped();
        }
        let shipped = RuleSet::load(&sources).unwrap().len();
        sources.push(Source { name: "docs/rules.md".to_owned(), text });
        let rules = RuleSet::load(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(rules.warnings().0.len(), 0, "{}", rules.warnings());
        for (rule, test) in rules.tests().filter(|(_, test)| test.place.0 == "docs/rules.md") {
            let TestEvents::Inline(events) = &test.events else { panic!("{} has a file", rule.name) };
            let result = test.run(&rules, &rule.name, events.events());
            assert!(result.passed, "{} {:?}: {result:?}", rule.name, test.name);
        }
        examples += rules.len() + rules.disabled() - shipped;
    }
    assert_eq!(examples, 19);
}

#[test]
fn the_pages_mistake_is_shown_as_the_code_shows_it() {
    let rules = PAGE.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let text = rules.replace("process.parent not", "proces.parent not");
    let errors = RuleSet::load(&[Source { name: "my.yml".to_owned(), text }]).unwrap_err().to_string();
    assert!(PAGE.contains(&format!("```text\n{errors}\n```")), "{errors}");
}

/// Keys of the page's table under a heading.
fn keys_under(heading: &str) -> Vec<&'static str> {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let rows = section.lines().skip_while(|line| !line.starts_with("| key |")).skip(2);
    let keys = rows.take_while(|line| line.starts_with("| `")).filter_map(|line| line.split('`').nth(1));
    keys.collect()
}

#[test]
fn the_pages_tables_of_keys_are_the_codes() {
    let schema = openclaw_detect::schema::rule_file();
    let rule = &schema["$defs"]["rule"];
    for (heading, object) in [
        ("## Keys of a rule", rule),
        ("### Thresholds", &rule["properties"]["threshold"]),
        ("### Sequences", &rule["properties"]["sequence"]),
        ("### Tests", &schema["$defs"]["test"]),
    ] {
        let mut expected: Vec<_> = object["properties"].as_object().unwrap().keys().collect();
        let mut found = keys_under(heading);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{heading}");
    }
}

#[test]
fn the_pages_operators_are_the_codes() {
    let schema = openclaw_detect::schema::rule_file();
    let help = schema["$defs"]["condition"]["description"].as_str().unwrap();
    let (_, operators) = help.split_once("The operators are ").unwrap();
    let (_, grammar) = PAGE.split_once("```text\ncondition ").unwrap();
    let grammar = grammar.split("```").next().unwrap();
    for operator in operators.trim_end_matches('.').split(' ') {
        assert!(grammar.contains(&format!("\"{operator}\"")), "{operator}");
    }
}
