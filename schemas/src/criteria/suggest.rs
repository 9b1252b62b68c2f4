//! What somebody probably meant.

/// `did you mean ...`, if one of the known names is close enough to `written`.
pub(crate) fn did_you_mean(written: &str, known: &[&str]) -> Option<String> {
    let plain = plain(written);
    let (distance, name) = known.iter().map(|name| (distance(&plain, &self::plain(name)), name)).min()?;
    (distance <= name.len() / 3).then(|| format!("did you mean `{name}`?"))
}

/// Without the differences between camelCase, snake_case and kebab-case.
fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that make `a` of `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        let known = ["entryLimit", "entryPeriod", "minDwell", "maxDwell", "criteria"];
        for (written, meant) in [
            ("entry_limit", Some("entryLimit")),
            ("entrylimit", Some("entryLimit")),
            ("critera", Some("criteria")),
            ("cirteria", Some("criteria")),
            ("maxDwel", Some("maxDwell")),
            ("suppress", None),
            ("", None),
        ] {
            assert_eq!(
                did_you_mean(written, &known),
                meant.map(|meant| format!("did you mean `{meant}`?")),
                "{written}"
            );
        }
    }
}
