use super::*;
use crate::RuleSet;

#[test]
fn tmp() {
    fn walk(p: &std::path::Path, out: &mut Vec<Source>) {
        for e in std::fs::read_dir(p).unwrap() {
            let p = e.unwrap().path();
            if p.is_dir() {
                walk(&p, out)
            } else if p.extension().is_some_and(|x| x == "yml") {
                out.push(Source {
                    name: p.display().to_string(),
                    text: std::fs::read_to_string(&p).unwrap(),
                });
            }
        }
    }
    let mut s = Vec::new();
    walk(std::path::Path::new("/work/shared/data/sigma/rules"), &mut s);
    s.sort_by(|a, b| a.name.cmp(&b.name));
    let (all, d) = import(&s);
    println!("{d}");
    let mut n = [0; 5];
    let mut ours = vec![];
    for i in &all {
        match &i.outcome {
            Outcome::Rule { text, lacks, .. } => {
                n[usize::from(!lacks.is_empty())] += 1;
                if !lacks.is_empty() {
                    println!("PART {} {lacks:?}", i.name)
                }
                ours.push(Source { name: i.name.clone(), text: text.clone() });
            }
            Outcome::Never(why) => {
                n[2] += 1;
                println!("NEVER {} {why:?}", i.name)
            }
            Outcome::Mistaken => n[3] += 1,
        }
    }
    println!("{n:?} of {}", s.len());
    if let Ok(dir) = std::env::var("OUT") {
        for o in &ours {
            std::fs::write(format!("{dir}/{}.yml", o.name), &o.text).unwrap();
        }
    }
    match RuleSet::load(&ours) {
        Ok(r) => println!("{}\n{} rules", r.warnings(), r.len()),
        Err(d) => println!("ERR {d}"),
    }
}
