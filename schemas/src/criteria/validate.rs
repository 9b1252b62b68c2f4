//! What a tree must not be, although its type allows it (BK-26 to BK-29, BK-35).

use super::{
    Criteria, EmailCheck, EventCheck, EventLeaf, MAX_DEPTH, MAX_LEAVES, PropertyLeaf, PropertyOperator,
    Scalar,
    document::{Problem, Severity, at_index, within},
    window::Question,
};

/// A problem of one node: the key of the long form that it is about, or nothing for the node itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub severity: Severity,
    pub key: &'static str,
    pub message: String,
    pub hint: Option<&'static str>,
}

impl Finding {
    fn error(key: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key, message: message.into(), hint: None }
    }

    fn warning(key: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, key, message: message.into(), hint: None }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// All problems of criteria, errors and warnings, with paths into the long form.
pub fn validate(criteria: &Criteria) -> Vec<Problem> {
    let mut problems = Vec::new();
    collect(criteria, "", &mut problems);
    problems.extend(tree_findings(criteria).into_iter().map(|finding| problem(finding, "")));
    problems
}

fn collect(criteria: &Criteria, path: &str, problems: &mut Vec<Problem>) {
    problems.extend(node_findings(criteria).into_iter().map(|finding| problem(finding, path)));
    if let Criteria::Composite(composite) = criteria {
        for (i, part) in composite.conditions.iter().enumerate() {
            collect(part, &at_index(&within(path, "conditions"), i), problems);
        }
    }
}

fn problem(finding: Finding, path: &str) -> Problem {
    let path = if finding.key.is_empty() { path.to_owned() } else { within(path, finding.key) };
    let Finding { severity, message, hint, .. } = finding;
    Problem { severity, path, message, hint: hint.map(str::to_owned) }
}

/// Problems of one node alone, its parts aside.
pub(super) fn node_findings(criteria: &Criteria) -> Vec<Finding> {
    match criteria {
        Criteria::Property(leaf) => property_findings(leaf),
        Criteria::Event(leaf) => event_findings(leaf),
        Criteria::EmailEngagement(_) => {
            vec![
                Finding::error("", "email engagement cannot be a condition of a bucket")
                    .hint("use event conditions on the tracking events, such as email.opened"),
            ]
        }
        Criteria::Composite(composite) if composite.conditions.is_empty() => {
            let everyone = super::CompositeOperator::And == composite.operator;
            let who = if everyone { "everyone" } else { "no one" };
            vec![Finding::warning("", format!("there are no conditions, so {who} matches"))]
        }
        Criteria::Composite(_) => Vec::new(),
    }
}

/// BK-29, operands.
fn property_findings(leaf: &PropertyLeaf) -> Vec<Finding> {
    let mut findings = Vec::new();
    if leaf.property.is_empty() {
        findings.push(Finding::error("property", "must not be empty"));
    }
    let operand = leaf.value.as_ref();
    match leaf.operator {
        PropertyOperator::Eq | PropertyOperator::Neq if operand.is_none() => {
            findings.push(Finding::error("value", "the operator needs a value"));
        }
        PropertyOperator::Gt | PropertyOperator::Gte | PropertyOperator::Lt | PropertyOperator::Lte
            if !matches!(operand, Some(Scalar::Number(_))) =>
        {
            findings.push(
                Finding::error("value", "the operator needs a number")
                    .hint("only numbers compare, not texts"),
            );
        }
        PropertyOperator::Contains if !matches!(operand, Some(Scalar::Text(_))) => {
            findings.push(Finding::error("value", "the operator needs a string"));
        }
        PropertyOperator::Exists | PropertyOperator::NotExists if operand.is_some() => {
            findings.push(Finding::warning("value", "the operator takes no value, so it is ignored"));
        }
        _ => {}
    }
    findings
}

/// BK-27, and BK-29 for windows.
fn event_findings(leaf: &EventLeaf) -> Vec<Finding> {
    let mut findings = Vec::new();
    if leaf.event_name.is_empty() {
        findings.push(Finding::error("eventName", "must not be empty"));
    }
    if leaf.event_name.starts_with("bucket:") {
        let message = format!("`{}` is an event of a bucket, which no bucket can look at", leaf.event_name);
        findings.push(Finding::error("eventName", message));
    }
    if leaf.within.as_ref().is_some_and(|within| within.is_zero()) {
        findings.push(Finding::error("within", "must be more than zero"));
    }
    match (leaf.check, leaf.operator, &leaf.value) {
        (EventCheck::Count, None, None) | (EventCheck::Count, Some(_), Some(_)) => {}
        (EventCheck::Count, None, Some(_)) => {
            findings.push(Finding::warning("value", "without an operator the count means `at least one`"));
        }
        (EventCheck::Count, Some(_), None) => {
            findings.push(Finding::warning("operator", "without a value the count means `at least one`"));
        }
        (EventCheck::Exists | EventCheck::NotExists, None, None) => {}
        (EventCheck::Exists | EventCheck::NotExists, operator, _) => {
            let key = if operator.is_some() { "operator" } else { "value" };
            findings.push(
                Finding::warning(key, "only `count` compares, so it is ignored").hint("use check: count"),
            );
        }
    }
    findings
}

/// Problems that only the whole tree has.
pub(super) fn tree_findings(criteria: &Criteria) -> Vec<Finding> {
    let mut findings = Vec::new();
    let depth = depth(criteria);
    if depth > MAX_DEPTH {
        findings.push(Finding::error(
            "",
            format!("conditions are nested {depth} deep, at most {MAX_DEPTH} are allowed"),
        ));
    }
    let mut signs = Vec::new();
    criteria.walk(&mut |node| signs.extend(sign(node)));
    if signs.len() > MAX_LEAVES {
        findings.push(Finding::error(
            "",
            format!("there are {} conditions, at most {MAX_LEAVES} are allowed", signs.len()),
        ));
    }
    match signs.iter().max() {
        Some(Sign::Negative) => findings.push(
            Finding::error("", "needs at least one positive condition")
                .hint("absence alone would match everybody who was never heard of"),
        ),
        Some(Sign::HiddenNegative) => findings.push(
            Finding::warning("", "holds for everybody who never fired the event: the count is true of zero")
                .hint("add a condition that the event exists"),
        ),
        Some(Sign::Positive) | None => {}
    }
    findings
}

/// Levels of nesting; a leaf alone has one.
fn depth(criteria: &Criteria) -> usize {
    match criteria {
        Criteria::Composite(composite) => 1 + composite.conditions.iter().map(depth).max().unwrap_or(0),
        _ => 1,
    }
}

/// Whether a leaf asks for something to be there (BK-26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Negative,
    /// Positive by its check, true of nothing by its number.
    HiddenNegative,
    Positive,
}

fn sign(criteria: &Criteria) -> Option<Sign> {
    let negative = match criteria {
        Criteria::Property(leaf) => {
            matches!(leaf.operator, PropertyOperator::Neq | PropertyOperator::NotExists)
        }
        Criteria::Event(leaf) if leaf.within.is_some() => false,
        Criteria::Event(leaf) if leaf.check == EventCheck::Count && Question::of(leaf).holds(0) => {
            return Some(Sign::HiddenNegative);
        }
        Criteria::Event(leaf) => leaf.check == EventCheck::NotExists,
        Criteria::EmailEngagement(leaf) => {
            matches!(leaf.check, EmailCheck::NotOpened | EmailCheck::NotClicked)
        }
        Criteria::Composite(_) => return None,
    };
    Some(if negative { Sign::Negative } else { Sign::Positive })
}
