//! Rule files that are made to hurt end in an error with a place, in time and memory that their size bounds.
//!
//! Nothing here is timed: how often memory is asked for stands for the work that is done.

mod counting;

use counting::{allocations, peak};
use openclaw_detect::{Diagnostics, Engine, Level, RuleSet, Source};

/// Memory that a text may take, beside what its own bytes do.
const MEMORY: usize = 256 << 20;

/// Loads the text, with no more work than a text of its size may make, and hands it to an engine.
#[track_caller]
fn load(text: String) -> Result<(), Diagnostics> {
    let bytes = text.len();
    let source = [Source { name: "x.yml".to_owned(), text }];
    let mut loaded = Ok(());
    let mut asked = 0;
    let peak = peak(|| {
        asked = allocations(|| loaded = RuleSet::load(&source).map(|rules| drop(Engine::new(rules))));
    });
    assert!(peak <= MEMORY + 64 * bytes, "{} MiB for {bytes} bytes", peak >> 20);
    assert!(asked <= 10_000_000 + 20 * bytes, "{asked} allocations for {bytes} bytes");
    loaded
}

/// Loads the text, which must be refused; returns what is said of it.
#[track_caller]
fn refused(text: String) -> String {
    let errors = load(text).err().map(|errors| errors.0).unwrap_or_default();
    let first = errors.iter().find(|mistake| mistake.level == Level::Error);
    let Some(first) = first else { panic!("it was not refused") };
    assert!(first.line >= 1 && first.column >= 1);
    first.message.clone()
}

/// Loads the text, which is in order.
#[track_caller]
fn loaded(text: String) {
    load(text).unwrap_or_else(|mistakes| panic!("{}", mistakes.0[0]));
}

#[test]
fn nesting_without_end_is_refused() {
    let too_deep = "lists and keys lie more than 16 deep in one another";
    for depth in [40, 100_000] {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let text = format!("{}x{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(refused(format!("rules: {text}")), too_deep);
            assert_eq!(refused(text), too_deep);
            refused(open.repeat(depth));
        }
        assert_eq!(refused(format!("rules:\n{}", "- ".repeat(depth))), too_deep);
    }
    for depth in [40, 2000] {
        let text = (0..depth).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(refused(text), too_deep);
    }
}

#[test]
fn aliases_that_stand_for_ever_more_aliases_are_refused() {
    let mut bomb = String::from("lists:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let before = vec![format!("*l{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("  l{n}: &l{n} [{before}]\n"));
    }
    refused(bomb);
}

#[test]
fn a_list_of_more_than_anybody_writes_is_refused_where_it_is_used() {
    let members: String = (0..200_000).map(|n| format!("    - name{n}\n")).collect();
    let text = format!("lists:\n  many:\n{members}rules:\n- name: a\n  condition: process.name in many\n");
    assert!(refused(text).contains("200000 values, more than 100000"));
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    assert!(refused("#".repeat((16 << 20) + 1)).contains("more than 16777216"));
}

#[test]
fn a_condition_without_end_is_refused() {
    let mut text = String::from("rules:\n- name: a\n  condition: |\n    process.pid == 1\n");
    while text.len() < 100_000 {
        text.push_str("    or process.pid == 2\n");
    }
    assert!(refused(text).contains("more than 65536"));
}

#[test]
fn a_regular_expression_that_would_fill_the_memory_is_refused() {
    for pattern in ["(?:a{1000}){1000}", "((a{100}){100}){100}", "\\w{5000}"] {
        refused(format!("rules:\n- name: a\n  condition: process.name matches '{pattern}'\n"));
    }
}

/// What is loaded from a text that `line` makes, once for each number.
fn many(begin: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).fold(begin.to_owned(), |text, line| text + &line)
}

#[test]
fn as_many_mistakes_as_a_file_can_hold_are_no_work_without_end() {
    let macros_of_themselves = many("macros:\n", 60_000, |n| format!("  m{n}: m{n}\n"));
    assert!(refused(macros_of_themselves).contains("is made of itself"));
    let no_macros = many("rules:\n", 20_000, |n| format!("- {{name: r{n}, condition: nope{n}}}\n"));
    assert!(refused(no_macros).contains("there is no macro"));
    let rules = many("rules:\n", 10_000, |n| format!("- {{name: r{n}, condition: process.pid == {n}}}\n"));
    let no_rules = many(&(rules + "overrides:\n"), 10_000, |n| format!("- {{rule: x{n}, severity: low}}\n"));
    assert!(refused(no_rules).contains("there is no rule `x0`"));
    let lists = many("lists:\n", 10_000, |n| format!("  company_list_{n}: [a]\n"));
    let no_lists = many(&(lists + "rules:\n"), 10_000, |n| {
        format!("- {{name: r{n}, condition: process.name in list_{n}}}\n")
    });
    assert!(refused(no_lists).contains("there is no list"));
}

#[test]
fn macros_of_macros_are_refused_before_all_rules_have_them() {
    let comparisons =
        |count| (0..count).map(|n| format!("process.name == 'x{n}'")).collect::<Vec<_>>().join(" or ");
    let many_of_it = vec!["m0"; 60].join(" or ");
    let macros = format!("macros:\n  m0: {}\n  m1: {many_of_it}\nrules:\n", comparisons(64));
    let rules =
        many(&macros, 10_000, |n| format!("- {{name: r{n}, condition: m1 and process.pid == {n}}}\n"));
    assert!(refused(rules).contains("all rules together have more than 1000000 comparisons"));
}

#[test]
fn comparisons_of_long_lists_are_refused_before_they_fill_the_memory() {
    let members = |name: &str| many(&format!("  {name}:\n"), 100_000, |n| format!("    - {name}{n}\n"));
    let lists = format!("lists:\n{}{}rules:\n", members("a"), members("b"));
    let operators = ["in", "contains", "startswith", "endswith", "not in", "== 'x' or process.name in"];
    let rules = operators.iter().enumerate().map(|(n, operator)| {
        let either = if n < 4 { "[a, b]" } else { "[b, a]" };
        format!("- {{name: r{n}, condition: \"process.name {operator} {either}\"}}\n")
    });
    assert!(refused(lists + &rules.collect::<String>()).contains("values, more than 100000"));
}

#[test]
fn what_can_never_be_true_is_not_looked_for_without_end() {
    let list = |name: &str| many(&format!("  {name}:\n"), 50_000, |n| format!("    - {name}{n}\n"));
    let lists = format!("lists:\n{}{}rules:\n", list("a"), list("b"));
    let rules = many(&lists, 200, |n| {
        format!(
            "- {{name: r{n}, condition: \"process.name in a and process.name endswith [b] and process.pid == {n}\"}}\n"
        )
    });
    loaded(rules);
}

#[test]
fn lists_that_many_rules_name_are_there_once() {
    let list = many("lists:\n  many:\n", 90_000, |n| format!("    - name{n}\n"));
    let rules = many(&(list + "rules:\n"), 5_000, |n| {
        format!("- {{name: r{n}, condition: process.name in many and process.pid == {n}}}\n")
    });
    // Each for itself these would be 450 million members.
    loaded(rules);
}

#[test]
fn patterns_that_are_large_are_refused_before_they_fill_the_memory() {
    let rules = many("rules:\n", 1200, |n| {
        format!("- {{name: r{n}, condition: \"process.name matches '[a-z]{{900}}{n}.{{100}}'\"}}\n")
    });
    let message = refused(rules);
    assert!(message.contains("all rules together have more than 16384 patterns"), "{message}");
}

#[test]
fn mistakes_in_one_long_line_do_not_each_keep_the_line() {
    let rules: Vec<String> = (0..1000).map(|n| format!("{{name: r{n}, condition: nope{n}}}")).collect();
    let comment = "x".repeat(8 << 20);
    assert!(refused(format!("{{rules: [{}]}} # {comment}", rules.join(", "))).contains("there is no macro"));
}

#[test]
fn a_member_that_is_longer_than_any_path_is_refused() {
    let member = "x".repeat(1 << 20);
    let text = format!("lists:\n  big: [{member}]\nrules:\n- {{name: a, condition: process.name in big}}\n");
    assert!(refused(text).contains("has 1048576 bytes, more than 4096"));
}

#[test]
fn members_of_lists_are_bounded_by_their_bytes_too() {
    let member = |n: usize| format!("    - {}{n}\n", "x".repeat(4000));
    let list = many("lists:\n  long:\n", 2000, member);
    let rules = many(&(list + "rules:\n"), 20, |n| {
        format!("- {{name: r{n}, condition: \"process.name startswith [long, 'y{n}']\"}}\n")
    });
    assert!(refused(rules).contains("more than 67108864 bytes in the members of lists"));
}

#[test]
fn texts_that_may_be_meant_for_lists_are_not_compared_with_all_of_them_for_ever() {
    let lists = many("lists:\n", 20_000, |n| format!("  company_list_{n}: [a]\n"));
    let texts = |n: usize| (0..100).map(|i| format!("'a_{n}_{i}'")).collect::<Vec<_>>().join(", ");
    let rules = many(&(lists + "rules:\n"), 2_000, |n| {
        format!("- {{name: r{n}, condition: \"process.name in [{}]\"}}\n", texts(n))
    });
    loaded(rules);
}

#[test]
fn a_macro_that_is_too_much_is_told_once() {
    let comparisons = vec!["process.pid == 1"; 3000].join(" or ");
    let mentions = vec!["m"; 10_000].join(" or ");
    let rules = many(&format!("macros:\n  m: {comparisons}\nrules:\n"), 100, |n| {
        format!("- {{name: r{n}, condition: {mentions}}}\n")
    });
    assert!(refused(rules).contains("more than 4096 comparisons"));
}
