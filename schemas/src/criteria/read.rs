//! Reads criteria as authors write them: long form, short forms and lists, mixed at will (BK-30, BK-37).

use serde_json::Value;

use super::{
    Composite, CompositeOperator, Criteria, MAX_DEPTH,
    document::{Data, Node, Problem, at_index, within},
    long_form,
    reader::Reader,
    short_form,
    suggest::did_you_mean,
    validate::{Finding, node_findings, tree_findings},
};

/// Keys by which the form of a condition is told, the long form first.
const FORMS: [&str; 5] = ["type", "prop", "event", "all", "any"];

/// Criteria of a JSON value in any form, with all problems; criteria only if none of them is an error.
pub fn read_json(value: &Value) -> (Option<Criteria>, Vec<Problem>) {
    let mut reader = Reader::default();
    let criteria = read(&mut reader, &Node::from(value), "");
    (criteria, reader.problems.into_iter().map(|(_, problem)| problem).collect())
}

/// Criteria of a document; `None` if there is an error.
pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Criteria> {
    let since = reader.problems.len();
    let criteria = condition(reader, node, path, 1)?;
    // Of half a tree nothing can be said.
    if !reader.failed_since(since) {
        tree_findings(&criteria).into_iter().for_each(|finding| report(reader, node, path, finding));
    }
    (!reader.failed_since(since)).then_some(criteria)
}

/// One node of the tree and all below; `None` if it cannot be told what it means.
fn condition(reader: &mut Reader, node: &Node, path: &str, depth: usize) -> Option<Criteria> {
    if depth > MAX_DEPTH {
        reader.error(node.at, path, format!("conditions are nested deeper than {MAX_DEPTH} levels"), None);
        return None;
    }
    let criteria = match &node.data {
        Data::List(elements) => parts(reader, elements, path, CompositeOperator::And, depth),
        Data::Map(_) => of_map(reader, node, path, depth),
        _ => {
            reader.mistyped(node, path, "a condition", Some("for example {prop: plan, eq: pro}".to_owned()));
            None
        }
    }?;
    node_findings(&criteria).into_iter().for_each(|finding| report(reader, node, path, finding));
    Some(criteria)
}

fn of_map(reader: &mut Reader, node: &Node, path: &str, depth: usize) -> Option<Criteria> {
    match FORMS.into_iter().find(|form| node.get(form).is_some()) {
        Some("type") => match long_form::read(reader, node, path)? {
            long_form::Condition::Leaf(leaf) => Some(leaf),
            long_form::Condition::Composite(operator, conditions) => {
                parts(reader, conditions, &within(path, "conditions"), operator, depth)
            }
        },
        Some("prop") => short_form::property(reader, node, path).map(Criteria::Property),
        Some("event") => short_form::event(reader, node, path).map(Criteria::Event),
        Some(key) => {
            let operator = if key == "all" { CompositeOperator::And } else { CompositeOperator::Or };
            let list = short_form::list(reader, node, path, key)?;
            parts(reader, list, &within(path, key), operator, depth)
        }
        None => {
            let meant = node.members().iter().find_map(|member| short_form::meant(&member.key));
            let hint =
                meant.or_else(|| node.members().iter().find_map(|member| did_you_mean(&member.key, &FORMS)));
            let hint = hint.unwrap_or_else(|| format!("it needs one of the keys {}", FORMS.join(", ")));
            reader.error(node.at, path, "this is no condition", Some(hint));
            None
        }
    }
}

fn parts(
    reader: &mut Reader,
    elements: &[Node],
    path: &str,
    operator: CompositeOperator,
    depth: usize,
) -> Option<Criteria> {
    let read = |(i, element)| condition(reader, element, &at_index(path, i), depth + 1);
    // All parts are read before one that failed counts: every problem is reported.
    let parts: Vec<_> = elements.iter().enumerate().map(read).collect();
    let conditions = parts.into_iter().collect::<Option<_>>()?;
    Some(Criteria::Composite(Composite { operator, conditions }))
}

/// Reports a finding at the key with which the author said it.
fn report(reader: &mut Reader, node: &Node, path: &str, finding: Finding) {
    let member = node.members().iter().find(|member| short_form::says(&member.key, finding.key));
    let (at, path) = match member {
        Some(member) => (member.value.at, within(path, &member.key)),
        None if finding.key.is_empty() => (node.at, path.to_owned()),
        None => (node.at, within(path, finding.key)),
    };
    let Finding { severity, message, hint, .. } = finding;
    reader.report(at, Problem { severity, path, message, hint: hint.map(str::to_owned) });
}
