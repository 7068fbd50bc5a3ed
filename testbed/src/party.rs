//! Those who are asked.

/// A party with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The npm registry.
    Npm,
    /// npm's feed of changes.
    NpmFeed,
    /// Both generations of the signature log.
    Rekor,
    /// GitHub's API.
    GitHub,
    /// PyPI with its files.
    Pypi,
    /// Homebrew's formula API.
    Homebrew,
    /// The registry of Homebrew's bottles.
    Bottles,
}

impl Party {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Npm,
        Self::NpmFeed,
        Self::Rekor,
        Self::GitHub,
        Self::Pypi,
        Self::Homebrew,
        Self::Bottles,
    ];

    /// The first segment of its address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::NpmFeed => "npm-feed",
            Self::Rekor => "rekor",
            Self::GitHub => "github",
            Self::Pypi => "pypi",
            Self::Homebrew => "homebrew",
            Self::Bottles => "bottles",
        }
    }

    /// The party of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|party| party.name() == name)
    }
}
