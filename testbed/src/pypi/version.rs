//! The order of versions (PEP 440), as far as an index needs it.

/// A version's place among the others: its epoch and release numbers, then whether it is a development version, a
/// prerelease, a release or a release after it, with the number of that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    release: Vec<u64>,
    stage: u8,
    number: u64,
}

impl Rank {
    /// The rank of a version; text that is none comes first.
    pub(super) fn of(version: &str) -> Self {
        let version = version.to_lowercase();
        let version = version.split('+').next().unwrap_or_default();
        let (epoch, version) = version.split_once('!').unwrap_or(("0", version));
        let version = version.trim_start_matches('v');
        let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (release, suffix) = version.split_at(end.unwrap_or(version.len()));
        let numbers = release.split('.').filter_map(|part| part.parse().ok());
        let mut release: Vec<u64> = std::iter::once(epoch.parse().unwrap_or_default())
            .chain(numbers)
            .collect();
        while release.len() > 1 && release.last() == Some(&0) {
            release.pop();
        }
        let suffix = suffix.trim_start_matches(['.', '-', '_']);
        let word: String = suffix.chars().take_while(char::is_ascii_alphabetic).collect();
        let digits = suffix
            .trim_start_matches(|letter: char| !letter.is_ascii_digit())
            .chars()
            .take_while(char::is_ascii_digit);
        Self {
            release,
            stage: match word.as_str() {
                "dev" => 0,
                "a" | "alpha" => 1,
                "b" | "beta" => 2,
                "c" | "rc" | "pre" | "preview" => 3,
                "post" | "rev" | "r" => 5,
                _ => 4,
            },
            number: digits.collect::<String>().parse().unwrap_or_default(),
        }
    }

    /// Whether it comes before the release of its numbers.
    pub(super) fn is_prerelease(&self) -> bool {
        self.stage < 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_pep_440() {
        let ordered = [
            "0.9",
            "1.0.dev1",
            "1.0a2",
            "1.0b1",
            "1.0rc1",
            "1.0",
            "1.0.post1",
            "1.0.1",
            "1.10",
            "2",
            "1!0.1",
        ];
        let ranks: Vec<_> = ordered.map(Rank::of).into();
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert_eq!(Rank::of("1.0"), Rank::of("v1.0.0+local"));
        assert!(Rank::of("1.0rc1").is_prerelease() && !Rank::of("1.0.post1").is_prerelease());
    }
}
