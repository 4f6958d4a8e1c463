//! The policy's `[verdicts]`. In: words and actions, and the prefix that an administrator gave to a
//! firewall's log rule. Out: the action that the prefix stands for, where a word says it.

use std::collections::BTreeMap;

use memchr::memmem;

use crate::model::flow::Action;

/// The policy's words in log prefixes, and what they mean.
#[derive(Debug)]
pub(super) struct Verdicts<'a>(Vec<(&'a str, Action)>);

impl<'a> Verdicts<'a> {
    /// Longer words first: of several that a prefix holds, the longest says most.
    pub(super) fn new(words: &'a BTreeMap<String, Action>) -> Self {
        let mut sorted: Vec<(&str, Action)> =
            words.iter().map(|(word, action)| (word.as_str(), *action)).collect();
        sorted.sort_by_key(|(word, _)| (std::cmp::Reverse(word.len()), *word));
        Self(sorted)
    }

    /// The action of a prefix that holds one of the words, not as part of a longer word.
    pub(super) fn action(&self, prefix: &[u8]) -> Option<Action> {
        self.0
            .iter()
            .find(|(word, _)| holds_word(prefix, word.as_bytes()))
            .map(|(_, action)| *action)
    }
}

fn holds_word(text: &[u8], word: &[u8]) -> bool {
    let is_letter =
        |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    memmem::find_iter(text, word).any(|at| {
        let ends_in_letters = word.last().is_some_and(u8::is_ascii_alphanumeric);
        let starts_in_letters = word.first().is_some_and(u8::is_ascii_alphanumeric);
        let goes_on = ends_in_letters && is_letter(at.checked_add(word.len()));
        let began_before = starts_in_letters && is_letter(at.checked_sub(1));
        !goes_on && !began_before
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_whole_word_of_a_prefix_decides() {
        let words = BTreeMap::from([
            ("ACCEPT".to_owned(), Action::Allow),
            ("ACCEPT-NOT".to_owned(), Action::Deny),
            ("[D]".to_owned(), Action::Deny),
        ]);
        let verdicts = Verdicts::new(&words);
        let cases = [
            ("FWD-ACCEPT: ", Some(Action::Allow)),
            ("FWD-ACCEPT-NOT: ", Some(Action::Deny)),
            ("ACCEPTED ", None),
            ("x[D]y", Some(Action::Deny)),
            ("", None),
        ];
        for (prefix, expected) in cases {
            assert_eq!(verdicts.action(prefix.as_bytes()), expected, "{prefix}");
        }
    }
}
