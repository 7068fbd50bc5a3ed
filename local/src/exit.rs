//! How a run ends.

use std::process::ExitCode;

use hekate::ports::FaultSide;
use hekate::service::ServiceFault;
use hekate::verdict::Status;

use crate::cli::Requirement;

/// The exit status of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: everything is acceptable.
    Acceptable,
    /// 75, `EX_TEMPFAIL` of sysexits.h: it could not be told; try again.
    TryAgain,
    /// 2: wrong usage or input.
    WrongInput,
    /// 1: something is not acceptable.
    NotAcceptable,
}

impl Exit {
    /// What a verdict amounts to.
    pub(crate) fn of(status: Status, require: Option<Requirement>) -> Self {
        match (status, require) {
            (Status::Mismatch | Status::Suspicious | Status::Downgraded, _)
            | (Status::Unattested, Some(_))
            | (Status::Attested, Some(Requirement::Verified)) => Self::NotAcceptable,
            (Status::Indeterminate, _) => Self::TryAgain,
            (Status::Verified, _)
            | (Status::Attested, Some(Requirement::Attested) | None)
            | (Status::Unattested, None) => Self::Acceptable,
        }
    }

    /// What the lack of a verdict amounts to.
    pub(crate) fn of_fault(fault: &ServiceFault) -> Self {
        match fault.side() {
            FaultSide::Caller => Self::WrongInput,
            FaultSide::Upstream | FaultSide::Ours => Self::TryAgain,
        }
    }

    /// The one that a run over several packages ends with: what is known to be bad first, then what the caller has to
    /// mend, then what time may mend.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits
            .into_iter()
            .max_by_key(|exit| exit.rank())
            .unwrap_or(Self::Acceptable)
    }

    fn rank(self) -> u8 {
        match self {
            Self::Acceptable => 0,
            Self::TryAgain => 1,
            Self::WrongInput => 2,
            Self::NotAcceptable => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Acceptable => 0,
            Exit::NotAcceptable => 1,
            Exit::WrongInput => 2,
            Exit::TryAgain => 75,
        })
    }
}

/// What stopped a run before it came to an end.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status to end with.
    pub(crate) exit: Exit,
    /// What to say.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// Something that the caller has to mend.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::WrongInput,
            error: error.into(),
        }
    }

    /// Something that may pass.
    pub(crate) fn passing(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::TryAgain,
            error: error.into(),
        }
    }
}

/// What is wrong with the output: a reader that went away is no reason to go on, and nothing to mend.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::passing(anyhow::Error::new(error).context("the result cannot be written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_outranks_what_is_wrong_and_that_what_is_unknown() {
        let all = [Exit::Acceptable, Exit::TryAgain, Exit::WrongInput, Exit::NotAcceptable];
        for (index, worst) in all.iter().enumerate() {
            assert_eq!(Exit::worst(all.iter().copied().take(index + 1)), *worst);
            assert_eq!(Exit::worst(all.iter().copied().take(index + 1).rev()), *worst);
        }
        assert_eq!(Exit::worst([]), Exit::Acceptable);
    }

    #[test]
    fn a_requirement_refuses_everything_below_it() {
        let accepted = |require| {
            Status::ALL
                .iter()
                .copied()
                .filter(move |&status| Exit::of(status, require) == Exit::Acceptable)
                .collect()
        };
        let unbound: Vec<Status> = accepted(None);
        assert_eq!(unbound, [Status::Unattested, Status::Attested, Status::Verified]);
        let attested: Vec<Status> = accepted(Some(Requirement::Attested));
        assert_eq!(attested, [Status::Attested, Status::Verified]);
        let verified: Vec<Status> = accepted(Some(Requirement::Verified));
        assert_eq!(verified, [Status::Verified]);
    }

    #[test]
    fn what_could_not_be_told_is_never_acceptable_and_never_refused() {
        for require in [None, Some(Requirement::Attested), Some(Requirement::Verified)] {
            assert_eq!(Exit::of(Status::Indeterminate, require), Exit::TryAgain);
        }
    }
}
