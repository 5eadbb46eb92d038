//! Names that are made of other names: in which order they can be put together, and where they go in circles.

use std::collections::{BTreeMap, HashMap};

/// What names what. Names that have no entry of their own are passed over.
pub(crate) type Graph<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// The names in an order in which they can be put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order<'a> {
    /// Each name after all those that it is made of, circles apart.
    pub(crate) sorted: Vec<&'a str>,
    /// Where a circle closes: the name, and which one it names that is made of it.
    pub(crate) circles: Vec<(&'a str, &'a str)>,
}

/// Sorts the names. It does not nest, so that a chain of names may be as long as it likes.
pub(crate) fn order<'a>(graph: &Graph<'a>) -> Order<'a> {
    let mut order = Order::default();
    // Whether a name that was come upon has been put in the order.
    let mut met: HashMap<&str, bool> = HashMap::new();
    for &start in graph.keys() {
        if met.contains_key(start) {
            continue;
        }
        met.insert(start, false);
        let mut path = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            let Some(&other) = graph.get(name).and_then(|others| others.get(*next)) else {
                met.insert(name, true);
                order.sorted.push(name);
                path.pop();
                continue;
            };
            *next += 1;
            match met.get(other) {
                Some(true) => {}
                Some(false) => order.circles.push((name, other)),
                None if graph.contains_key(other) => {
                    met.insert(other, false);
                    path.push((other, 0));
                }
                None => {}
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_after_what_it_is_made_of_and_a_circle_is_found_where_it_closes() {
        let graph = Graph::from([
            ("a", vec!["b", "c"]),
            ("b", vec!["c", "unknown"]),
            ("c", vec![]),
            ("d", vec!["e"]),
            ("e", vec!["d"]),
            ("f", vec!["f"]),
        ]);
        let order = order(&graph);
        assert_eq!(order.sorted, ["c", "b", "a", "e", "d", "f"]);
        assert_eq!(order.circles, [("e", "d"), ("f", "f")]);
    }

    #[test]
    fn a_long_chain_is_sorted() {
        let names: Vec<String> = (0..100_000).map(|n| format!("{n:06}")).collect();
        let graph: Graph<'_> =
            names.windows(2).map(|pair| (pair[0].as_str(), vec![pair[1].as_str()])).collect();
        let order = order(&graph);
        assert_eq!((order.sorted.len(), order.circles.len()), (99_999, 0));
    }
}
