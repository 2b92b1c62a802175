//! Numbers of a policy that cannot work.
//!
//! Does not know: what is made of them.

use std::fmt;

use seawall_policy::{ParamProblem, Params};

/// Numbers that cannot work, each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsound {
    /// What cannot work; never empty.
    pub problems: Vec<ParamProblem>,
}

impl Unsound {
    /// Checks numbers.
    ///
    /// # Errors
    ///
    /// Returns everything that cannot work, at once.
    pub fn check(params: &Params) -> Result<(), Self> {
        Self::of(params.check())
    }

    pub(crate) fn of(problems: Vec<ParamProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl From<ParamProblem> for Unsound {
    fn from(problem: ParamProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for Unsound {
    /// Says it so that it reads after "could not build the policy: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Unsound {}
