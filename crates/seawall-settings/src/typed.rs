//! The types of settings: what the value of each is read as, and which form it has in the file.
//!
//! Does not know: which settings exist. A key has a type, so that a duration cannot be read as a
//! number of bytes: it does not compile.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use seawall_core::{Secret, Words};
use seawall_gateway::Logged;
use seawall_policy::backoff::{Growth, Jitter};
use seawall_policy::bulkhead::QueueOrder;
use seawall_policy::hedge::After;
use seawall_policy::retry::On;
use seawall_watch::RequestForm;
use seawall_worker::{Answers, Sync};

use super::policy_words::{BreakerMode, RateKind};
use super::schedule::CatchUp;
use super::value::{Kind, Value};
use super::when_done::WhenDone;

/// The type of a setting.
pub(super) trait Type {
    /// What its value is read as.
    type Read<'a>;

    /// Reads a value; nothing if there is none, or one of another type.
    fn read(value: Option<&Value>) -> Option<Self::Read<'_>>;

    /// Writes a value; nothing for none.
    fn write(read: Self::Read<'_>) -> Option<Value>;
}

/// A setting without a default: it may have no value.
impl<T: Type> Type for Option<T> {
    type Read<'a> = Option<T::Read<'a>>;

    fn read(value: Option<&Value>) -> Option<Self::Read<'_>> {
        Some(T::read(value))
    }

    fn write(read: Self::Read<'_>) -> Option<Value> {
        read.and_then(T::write)
    }
}

/// A table that holds others, and no value itself.
pub(super) struct Table;
/// A table that can be switched off; read as whether it is on.
pub(super) struct Part;
/// A size, or a speed in bytes a second.
pub(super) struct Bytes;
/// A share from 0 to 1.
pub(super) struct Share;
/// A share, or none: `"off"`.
pub(super) struct ShareOrOff;
/// So many a second.
pub(super) struct Rate;
/// The shortest and the longest of something.
pub(super) struct Span;
/// Addresses and networks.
pub(super) struct Networks;
/// A text.
pub(super) struct Text;
/// A list of texts.
pub(super) struct Texts;
/// The variable that holds a secret, and what stands in for it.
pub(super) struct SecretSource;

/// A text, whether it has a default or not.
pub(super) trait IsText {}

impl IsText for Text {}
impl IsText for Option<Text> {}

/// Says for each type in which form of value it stands, how that is read and written.
macro_rules! types {
    ($($type:ty as $read:ty: $form:pat => $reads:expr, $written:ident => $writes:expr;)*) => {
        $(impl Type for $type {
            type Read<'a> = $read;

            fn read(value: Option<&Value>) -> Option<Self::Read<'_>> {
                match value? {
                    $form => $reads,
                    _ => None,
                }
            }

            fn write($written: Self::Read<'_>) -> Option<Value> {
                $writes
            }
        })*
    };
}

types! {
    Table as (): Value::Part(_) => Some(()), _none => None;
    Part as bool: Value::Part(is_on) => Some(*is_on), is_on => Some(Value::Part(is_on));
    u64 as u64: Value::Integer(number) => Some(*number), number => Some(Value::Integer(number));
    bool as bool: Value::Flag(flag) => Some(*flag), flag => Some(Value::Flag(flag));
    Duration as Duration: Value::Duration(time) => Some(*time), time => Some(Value::Duration(time));
    Bytes as u64: Value::Size(bytes) | Value::Speed(bytes) => Some(*bytes),
        bytes => Some(Value::Size(bytes));
    Share as f64: Value::Share(share) => *share, share => Some(Value::Share(Some(share)));
    ShareOrOff as Option<f64>: Value::Share(share) => Some(*share),
        share => Some(Value::Share(share));
    Rate as f64: Value::Rate(rate) => Some(*rate), rate => Some(Value::Rate(rate));
    Span as (Duration, Duration): Value::Range(from, to) => Some((*from, *to)),
        span => Some(Value::Range(span.0, span.1));
    SocketAddr as SocketAddr: Value::Address(address) => Some(*address),
        address => Some(Value::Address(address));
    Networks as &'a [IpNet]: Value::Networks(list) => Some(list),
        list => Some(Value::Networks(list.to_vec()));
    On as &'a On: Value::Conditions(on) => Some(on), on => Some(Value::Conditions(on.clone()));
    After as After: Value::After(after) => Some(*after), after => Some(Value::After(after));
    Text as &'a str: Value::Text(text) => Some(text), text => Some(Value::Text(text.to_owned()));
    Texts as &'a [String]: Value::Texts(list) => Some(list),
        list => Some(Value::Texts(list.to_vec()));
    SecretSource as (&'a str, Option<&'a Secret>):
        Value::Secret { env, default } => Some((env, default.as_ref())),
        source => Some(Value::Secret { env: source.0.to_owned(), default: source.1.cloned() });
}

/// Says which enums stand in settings, each by its word.
macro_rules! choices {
    ($($choice:ty),* $(,)?) => {
        types! {
            $($choice as $choice: Value::Text(word) => <$choice>::of_word(word),
                choice => Some(Value::Text(choice.word().to_owned()));)*
        }
    };
}

choices!(
    Answers,
    BreakerMode,
    CatchUp,
    Growth,
    Jitter,
    Logged,
    QueueOrder,
    RateKind,
    RequestForm,
    Sync,
    WhenDone
);

/// The form of a value, and the type that it is read as.
pub(super) struct Form<T> {
    pub(super) kind: ValueKind,
    of: PhantomData<fn() -> T>,
}

const fn form<T>(kind: ValueKind) -> Form<T> {
    Form { kind, of: PhantomData }
}

pub(super) const fn part() -> Form<Part> {
    form(ValueKind::Part)
}

pub(super) const fn integer(min: u64, max: u64) -> Form<u64> {
    form(ValueKind::Integer { min, max })
}

pub(super) const fn flag() -> Form<bool> {
    form(ValueKind::Flag)
}

pub(super) const fn duration(min: &'static str, max: &'static str) -> Form<Duration> {
    form(ValueKind::Duration { min, max })
}

pub(super) const fn size(min: &'static str, max: &'static str) -> Form<Bytes> {
    form(ValueKind::Size { min, max })
}

pub(super) const fn speed() -> Form<Bytes> {
    form(ValueKind::Speed)
}

pub(super) const fn percent() -> Form<Share> {
    form(ValueKind::Percent)
}

pub(super) const fn percent_or_off() -> Form<ShareOrOff> {
    form(ValueKind::PercentOrOff)
}

/// A rate that may be zero, or not.
pub(super) const fn rate(zero: bool) -> Form<Rate> {
    form(ValueKind::Rate { zero })
}

pub(super) const fn range() -> Form<Span> {
    form(ValueKind::Range)
}

pub(super) const fn listen() -> Form<SocketAddr> {
    form(ValueKind::Listen)
}

pub(super) const fn networks() -> Form<Networks> {
    form(ValueKind::Networks)
}

pub(super) const fn conditions() -> Form<On> {
    form(ValueKind::Conditions)
}

/// One of the words of an enum.
pub(super) const fn choice<T: Words>() -> Form<T> {
    form(ValueKind::Choice(T::WORDS))
}

pub(super) const fn after() -> Form<After> {
    form(ValueKind::After)
}

/// What tells callers apart.
pub(super) const fn caller() -> Form<Text> {
    form(ValueKind::Key)
}

pub(super) const fn priority() -> Form<Text> {
    form(ValueKind::Priority)
}

pub(super) const fn urls() -> Form<Texts> {
    form(ValueKind::Urls)
}

pub(super) const fn names() -> Form<Texts> {
    form(ValueKind::Names)
}

/// A text, with what it wants in words.
pub(super) const fn text(wants: &'static str) -> Form<Text> {
    form(ValueKind::Text(wants))
}

pub(super) const fn secret() -> Form<SecretSource> {
    form(ValueKind::Secret)
}
