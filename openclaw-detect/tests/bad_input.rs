//! Rule files that are made to hurt end in an error with a place, soon and in little memory.

use std::time::{Duration, Instant};

use openclaw_detect::{RuleSet, Source};

/// Loads the text, which must be refused in a moment; returns what is said of it.
#[track_caller]
fn refused(text: String) -> String {
    let begun = Instant::now();
    let loaded = RuleSet::load(&[Source { name: "x.yml".to_owned(), text }]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let errors = loaded.err().map(|errors| errors.0).unwrap_or_default();
    let Some(first) = errors.first() else { panic!("it was not refused") };
    assert!(first.line >= 1 && first.column >= 1);
    first.message.clone()
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
