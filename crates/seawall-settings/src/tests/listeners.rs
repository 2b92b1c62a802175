//! Where clients connect.

use super::{check, taken, three_and};

#[test]
fn listeners_are_a_list_and_the_old_form_of_one_is_taken_with_a_warning() {
    let addresses = |text: &str| {
        let settings = taken(&three_and(text));
        settings.server.listeners.iter().map(|one| one.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(""), ["127.0.0.1:8080"]);
    let two = "[[listener]]\naddress = \"0.0.0.0:80\"\n[[listener]]\naddress = \"[::1]:81\"\n";
    assert_eq!(addresses(two), ["0.0.0.0:80", "[::1]:81"]);
    let old = "[server]\nlisten = \"0.0.0.0:80\"\n";
    assert_eq!(addresses(old), ["0.0.0.0:80"]);
    let said = check(&three_and(old));
    assert!(said.contains("warning: `server.listen` is the old form of a listener"), "{said}");
    assert!(said.contains("address = \"0.0.0.0:80\""), "{said}");
}

#[test]
fn listeners_that_cannot_be_together_are_refused() {
    let one = |address: &str| format!("[[listener]]\naddress = \"{address}\"\n");
    for (text, title) in [
        (one("127.0.0.1:80") + &one("127.0.0.1:80"), "two listeners share an address"),
        (one("0.0.0.0:80") + &one("127.0.0.1:80"), "two listeners share an address"),
        (one("127.0.0.1:80") + &one("[::]:80"), "two listeners share an address"),
        (one("0.0.0.0:9090"), "clients and status cannot share"),
        (one("127.0.0.1:80") + "[server]\nlisten = \"127.0.0.1:81\"\n", "with `[[listener]]`"),
        (one("127.0.0.1:81") + &one("127.0.0.1:9090"), "clients and status cannot share"),
        ("[[listener]]\n".to_owned(), "`listener` has no `address`"),
        ("[listener]\naddress = \"127.0.0.1:80\"\n".to_owned(), "`listener` is a list"),
    ] {
        let said = check(&three_and(&text));
        assert!(said.contains(title), "{text}: {said}");
    }
    // Any free port is another one each time.
    assert_eq!(check(&three_and(&(one("127.0.0.1:0") + &one("127.0.0.1:0")))), "taken");
}
