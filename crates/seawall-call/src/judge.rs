//! A judge that is a function.
//!
//! Does not know: what is judged. Without a word more its requests may be repeated and hedged.

use seawall_core::{Judge, Outcome, RetryDenied};

/// Judges results by a function; made by [`judge_by`].
#[derive(Clone, Copy, Debug)]
pub struct JudgeBy<J> {
    judge: J,
    may_repeat: bool,
    may_hedge: bool,
}

/// Judges by a function what a result says about the upstream.
///
/// ```
/// use seawall_call::{Context, Policy, judge_by};
/// use seawall_core::{Code, Failure, Outcome};
///
/// const DEADLOCK: Code = Code::new("40P01").unwrap();
///
/// #[derive(Debug)]
/// enum Sql { Busy, Deadlock, Lost, Unique }
///
/// let judge = judge_by(|result: Result<&u64, &Sql>| match result {
///     // The database has answered, and is not to blame for the answer.
///     Ok(_) | Err(Sql::Unique) => Outcome::Success,
///     Err(Sql::Busy) => Outcome::overload(),
///     // By the database's own word the same query may pass when it comes again.
///     Err(Sql::Deadlock) => Outcome::Failure(Failure::Transient(DEADLOCK)),
///     Err(Sql::Lost) => Outcome::Failure(Failure::Reset),
/// });
/// # let _ = async {
/// let policy = Policy::builder().build()?;
/// let rows = policy.call(Context::default(), &judge, async |_| Ok(1)).await;
/// # let _ = rows; Ok::<(), seawall_call::Unsound>(())
/// # };
/// ```
pub const fn judge_by<J>(judge: J) -> JudgeBy<J> {
    JudgeBy { judge, may_repeat: true, may_hedge: true }
}

impl<J> JudgeBy<J> {
    /// Says that the work must not be done twice: it is neither repeated nor hedged.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.may_repeat = false;
        self.may_hedge = false;
        self
    }

    /// Says that the work may be repeated after a failure, but not done twice at the same time.
    #[must_use]
    pub const fn never_hedged(mut self) -> Self {
        self.may_hedge = false;
        self
    }
}

impl<T, E, J> Judge<T, E> for JudgeBy<J>
where
    J: Fn(Result<&T, &E>) -> Outcome,
{
    fn outcome(&self, result: Result<&T, &E>) -> Outcome {
        (self.judge)(result)
    }

    fn may_repeat(&self, _result: Option<Result<&T, &E>>) -> Result<(), RetryDenied> {
        if self.may_repeat { Ok(()) } else { Err(RetryDenied::Method) }
    }

    fn may_hedge(&self) -> bool {
        self.may_hedge
    }
}
