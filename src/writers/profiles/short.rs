//! Texts of tickets that fit an importer's limit by saying less, not by breaking off. In: the parts of
//! a ticket, harmless, and what fits. Out: the same where it fits; else whole items only, the least
//! needed left out first, with the number of those that were, and where the whole text stands.
//!
//! An item is a line with the indented ones below it, so that no command and no rule is cut in two.
//! Items go in this order, the last of each kind first: a second way to do the same; sources after the
//! two strongest; notes; how to roll back; how to verify; other items of what was seen; what to do.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::net::IpAddr;

use crate::writers::profiles::texts::{Part, PartKind, cut};

/// The longest line of prose, in UTF-16 units, of a text that has to be shortened.
const LONGEST: usize = 600;

/// Sources that stay nearly to the end.
const STRONGEST: usize = 2;

/// When an item goes, first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Goes {
    Alternative,
    Source,
    Note,
    RollBack,
    Verify,
    Seen,
    Do,
    Told,
}

/// An item of a part.
struct Item<'t> {
    part: usize,
    text: Cow<'t, str>,
    goes: Goes,
    is_kept: bool,
}

/// The parts under their titles after `head`, shortened until it `fits`. Where nothing does, the
/// shortest: the caller has to cut it.
pub(super) fn fitted(
    head: &str,
    parts: &[Part<'_>],
    pointer: &str,
    fits: &dyn Fn(&str) -> bool,
) -> String {
    let write = |items: &[Item<'_>], pointer: &str| {
        let mut text = head.to_owned();
        for (number, part) in parts.iter().enumerate() {
            text.extend(["\n\n", part.title, "\n"]);
            text.push_str(&kept(items, number));
        }
        text + pointer
    };
    fit(parts, &write, pointer, fits)
}

/// One part without its title, shortened likewise.
pub(super) fn fitted_part(part: &Part<'_>, pointer: &str, fits: &dyn Fn(&str) -> bool) -> String {
    let write = |items: &[Item<'_>], pointer: &str| kept(items, 0) + pointer;
    fit(std::slice::from_ref(part), &write, pointer, fits)
}

fn fit(
    parts: &[Part<'_>],
    write: &dyn Fn(&[Item<'_>], &str) -> String,
    pointer: &str,
    fits: &dyn Fn(&str) -> bool,
) -> String {
    let mut items: Vec<Item<'_>> = parts.iter().enumerate().flat_map(items_of).collect();
    let whole = write(&items, "");
    if fits(&whole) {
        return whole;
    }
    for item in &mut items {
        shorten_prose(item);
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&at| (items.get(at).map(|item| item.goes), Reverse(at)));
    let without = |gone: usize, items: &mut [Item<'_>]| {
        for (turn, &at) in order.iter().enumerate() {
            if let Some(item) = items.get_mut(at) {
                item.is_kept = turn >= gone;
            }
        }
        write(items, pointer)
    };
    // The fewest that have to go: fewer than `low` are too few, `high` are enough or all.
    let (mut low, mut high) = (0, order.len());
    while low < high {
        let middle = low.midpoint(high);
        if fits(&without(middle, &mut items)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    without(high, &mut items)
}

/// What stays of a part, and how much does not.
fn kept(items: &[Item<'_>], part: usize) -> String {
    let of_part = || items.iter().filter(|item| item.part == part);
    let mut lines: Vec<Cow<'_, str>> =
        of_part().filter(|item| item.is_kept).map(|item| Cow::Borrowed(&*item.text)).collect();
    match of_part().filter(|item| !item.is_kept).count() {
        0 => {}
        1 => lines.push("... 1 item is left out".into()),
        gone => lines.push(format!("... {gone} items are left out").into()),
    }
    lines.join("\n")
}

/// A part's items, in their order.
fn items_of<'t>((number, part): (usize, &'t Part<'_>)) -> Vec<Item<'t>> {
    let mut items: Vec<Item<'t>> = Vec::new();
    let mut sources = 0;
    let mut start = 0;
    let text = &*part.text;
    let begins = |at: usize| !text.get(at..).unwrap_or_default().starts_with([' ', '\n']);
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1).filter(|at| begins(*at));
    for end in breaks.chain([text.len() + 1]) {
        let item = text.get(start..end.saturating_sub(1)).unwrap_or_default();
        items.push(Item {
            part: number,
            text: Cow::Borrowed(item),
            goes: goes(part.kind, item, &mut sources),
            is_kept: true,
        });
        start = end;
    }
    items
}

fn goes(kind: PartKind, item: &str, sources: &mut usize) -> Goes {
    let listed = item.strip_prefix("- ");
    match kind {
        PartKind::Do if listed.is_some_and(|text| text.starts_with("Or,")) => Goes::Alternative,
        PartKind::Do => Goes::Do,
        PartKind::Verify => Goes::Verify,
        PartKind::RollBack => Goes::RollBack,
        PartKind::Seen => {
            let first_word = listed.and_then(|text| text.split(' ').next());
            let is_source = first_word.is_some_and(|word| word.parse::<IpAddr>().is_ok());
            *sources += usize::from(is_source);
            match listed {
                Some(_) if is_source && *sources > STRONGEST => Goes::Source,
                Some(_) => Goes::Seen,
                None if item.starts_with("Note: ") => Goes::Note,
                None => Goes::Told,
            }
        }
    }
}

/// Cuts lines that are endless; commands and rules, which are indented, are not touched.
fn shorten_prose(item: &mut Item<'_>) {
    let is_prose = |line: &str| !line.starts_with("    ");
    let lines = item.text.split('\n').map(|line| match line {
        line if is_prose(line) => cut(line, LONGEST),
        line => Cow::Borrowed(line),
    });
    item.text = Cow::Owned(lines.collect::<Vec<_>>().join("\n"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEEN: &str = "What it is: x\nThe strongest:\n- 192.0.2.1 (external): a\n- 192.0.2.2 (external): \
                        b\n- 192.0.2.3 (external): c\nHow sure: high.\nNote: n";
    const DO: &str = "On the firewall:\n- nftables:\n    table inet a {\n    }\n  Load it:\n    nft -f \
                      a\n- Or, firewalld:\n    firewall-cmd a\nWhat could break: b";
    const VERIFY: &str = "After the change:\n- Rescan.";
    const ROLL_BACK: &str = "Back to how it was:\n- Firewall:\n    nft delete table inet a";

    fn parts() -> [Part<'static>; 4] {
        let part = |kind, title, text: &'static str| Part { kind, title, text: text.into() };
        [
            part(PartKind::Seen, "Seen", SEEN),
            part(PartKind::Do, "Do", DO),
            part(PartKind::Verify, "Verify", VERIFY),
            part(PartKind::RollBack, "Back", ROLL_BACK),
        ]
    }

    fn at_most(most: usize) -> String {
        fitted("Ticket", &parts(), "\n(see)", &|text| text.len() <= most)
    }

    #[test]
    fn what_fits_is_not_touched() {
        let whole =
            format!("Ticket\n\nSeen\n{SEEN}\n\nDo\n{DO}\n\nVerify\n{VERIFY}\n\nBack\n{ROLL_BACK}");
        assert_eq!(at_most(whole.len()), whole);
        assert_ne!(at_most(whole.len() - 1), whole);
    }

    #[test]
    fn what_is_least_needed_goes_first_and_is_counted() {
        let whole = at_most(usize::MAX).len();
        let text = at_most(whole - 1);
        assert!(!text.contains("firewall-cmd") && text.contains("192.0.2.3"), "{text}");
        assert!(text.contains("What could break: b\n... 1 item is left out\n\nVerify"), "{text}");
        assert!(text.ends_with("nft delete table inet a\n(see)"), "{text}");
        let text = at_most(whole - 8);
        assert!(text.contains("How sure: high.\nNote: n\n... 1 item is left out"), "{text}");
        let text = at_most(whole - 60);
        assert!(text.contains("Back\n... 2 items are left out\n(see)"), "{text}");
        assert!(text.contains("    nft -f a") && text.contains("What it is: x"), "{text}");
    }

    #[test]
    fn endless_lines_of_prose_are_cut_before_an_item_goes() {
        let long = format!("What it is: {}\n- b\n    {}", "x".repeat(5_000), "y".repeat(700));
        let part = Part { kind: PartKind::Do, title: "", text: long.into() };
        let text = fitted_part(&part, "\n(see)", &|text| text.len() < 2_000);
        assert!(
            text.starts_with("What it is: xxx") && text.contains("xxx...\n- b\n    yyy"),
            "{text}"
        );
        assert!(text.ends_with("yyy\n(see)"), "{text}");
    }

    proptest! {
        #[test]
        fn no_item_is_broken_and_the_limit_holds(most in 330usize..900) {
            let text = at_most(most);
            prop_assert!(text.len() <= most, "{}", text);
            let whole = at_most(usize::MAX);
            for command in ["    table inet a {\n    }\n  Load it:\n    nft -f a", "- Firewall:\n    nft delete"] {
                let first = command.lines().next().unwrap();
                prop_assert!(whole.contains(command));
                prop_assert_eq!(text.contains(first), text.contains(command), "{}", text);
            }
        }
    }
}
