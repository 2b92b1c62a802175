//! Fields beside a plain list of names and values that does the same.

use http::HeaderValue;
use proptest::prelude::*;
use seawall_wire::http1::{HeadLimits, Piece, Reader, write_end, write_fields};
use seawall_wire::{Fields, Name, NameSet, Value, name};

/// What is done to fields.
#[derive(Clone, Debug)]
enum Step {
    Append(usize, String),
    Insert(usize, String),
    InsertNumber(usize, u64),
    Remove(usize),
    RemoveAny,
    Shorten,
    Compact,
}

/// Names with a number and without, some of them the same in another case.
const NAMES: [&str; 8] =
    ["Accept", "accept", "connection", "Connection", "te", "x_a", "X_A", "x-forwarded-for"];

type Plain = Vec<(String, String)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (name, value) = (0..NAMES.len(), "[a-z]{0,6}");
    let step = prop_oneof![
        (name.clone(), value).prop_map(|(name, value)| Step::Append(name, value)),
        (name.clone(), value).prop_map(|(name, value)| Step::Insert(name, value)),
        (name.clone(), any::<u64>()).prop_map(|(name, number)| Step::InsertNumber(name, number)),
        name.prop_map(Step::Remove),
        Just(Step::RemoveAny),
        Just(Step::Shorten),
        Just(Step::Compact),
    ];
    prop::collection::vec(step, 0..12)
}

fn value(text: &str) -> Value<'_> {
    Value::new(text.as_bytes()).expect("letters and digits")
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn insert(plain: &mut Plain, name: &str, value: &str) {
    match plain.iter().position(|(other, _)| is(other, name)) {
        None => plain.push((name.to_owned(), value.to_owned())),
        Some(first) => {
            value.clone_into(&mut plain[first].1);
            let mut place = 0;
            plain.retain(|(other, _)| {
                place += 1;
                place <= first + 1 || !is(other, name)
            });
        }
    }
}

fn step(fields: &mut Fields, plain: &mut Plain, step: &Step) {
    match step {
        Step::Append(name, text) => {
            fields.append(NAMES[*name], value(text));
            plain.push((NAMES[*name].to_owned(), text.clone()));
        }
        Step::Insert(name, text) => {
            fields.insert(NAMES[*name], value(text));
            insert(plain, NAMES[*name], text);
        }
        Step::InsertNumber(name, number) => {
            fields.insert_number(NAMES[*name], *number);
            insert(plain, NAMES[*name], &number.to_string());
        }
        Step::Remove(name) => {
            let before = plain.len();
            plain.retain(|(other, _)| !is(other, NAMES[*name]));
            assert_eq!(fields.remove(NAMES[*name]), before != plain.len());
        }
        Step::RemoveAny => {
            fields.remove_any(NameSet::of(&[name::CONNECTION, name::TE]));
            plain.retain(|(other, _)| !is(other, "connection") && !is(other, "te"));
        }
        Step::Shorten => {
            let is_long = |text: &[u8]| text.len() > 2;
            let short = |value: Value<'_>| HeaderValue::from_bytes(&value.as_bytes()[..2]).ok();
            fields.change(|_, value| if is_long(value.as_bytes()) { short(value) } else { None });
            plain.iter_mut().filter(|(_, value)| is_long(value.as_bytes())).for_each(
                |(_, value)| {
                    value.truncate(2);
                },
            );
        }
        Step::Compact => *fields = fields.compact(),
    }
}

/// Reads the head of an answer.
fn read(bytes: &[u8]) -> Fields {
    let mut reader = Reader::responses(HeadLimits::default());
    reader.expect(true);
    assert_eq!(reader.read(bytes), Ok(Piece::Head(bytes.len())));
    reader.take_head().into_fields(bytes.to_vec())
}

fn pairs(fields: &Fields) -> Plain {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    fields.iter().map(|(name, value)| (text(name.as_bytes()), text(value.as_bytes()))).collect()
}

proptest! {
    #[test]
    fn what_is_done_to_fields_is_what_is_done_to_a_list(
        came in prop::collection::vec((0..NAMES.len(), "[ \t]{0,2}", "[a-z]{0,6}", "[ \t]{0,2}"), 0..6),
        steps in steps(),
    ) {
        let mut plain = Plain::new();
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, before, value, after) in came {
            let name = NAMES[name];
            head.extend(format!("{name}:{before}{value}{after}\r\n").into_bytes());
            plain.push((name.to_owned(), value));
        }
        write_end(&mut head);
        let mut fields = read(&head);
        for one in &steps {
            step(&mut fields, &mut plain, one);
            prop_assert_eq!(&pairs(&fields), &plain, "order, case and doubled fields stay");
            let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
            write_fields(&mut out, &fields);
            write_end(&mut out);
            prop_assert_eq!(&pairs(&read(&out)), &plain, "and so they are read again");
        }
        prop_assert_eq!(fields.len(), plain.len());
        for name in NAMES {
            let all: Vec<&str> = plain
                .iter()
                .filter(|(other, _)| is(other, name))
                .map(|(_, value)| &**value)
                .collect();
            let found: Vec<_> = fields.get_all(name).filter_map(Value::to_str).collect();
            prop_assert_eq!(&found, &all);
            prop_assert_eq!(fields.get(name).and_then(Value::to_str), all.first().copied());
            prop_assert_eq!(fields.contains(name), !all.is_empty());
            let only = (all.len() == 1).then(|| all[0]);
            prop_assert_eq!(fields.only(name).and_then(Value::to_str), only);
        }
        let map = fields.to_map().expect("few fields");
        prop_assert_eq!(map.len(), plain.len());
        // A map puts what has one name together, and every name in lower case.
        let again = Fields::from(&map);
        for name in NAMES {
            prop_assert!(fields.get_all(name).eq(again.get_all(name)));
        }
    }
}

#[test]
fn a_value_cannot_end_its_line_and_a_name_is_a_token() {
    assert!(Value::new(b"a\r\nb: c").is_none());
    assert!(Value::new(b"a\0").is_none());
    assert!(std::panic::catch_unwind(|| Name::of("a: b")).is_err());
}

#[test]
fn what_fields_hold_is_not_printed() {
    let mut fields = Fields::default();
    fields.append("authorization", "Bearer secret");
    let text = format!("{fields:?}");
    assert!(text.contains("authorization") && !text.contains("secret"), "{text}");
}
