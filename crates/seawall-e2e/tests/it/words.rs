//! Words to people: what the running program says of settings, and how often.

use rustix::process::Signal;

use crate::fixture::{Seawall, until};

fn settings(policies: &str) -> String {
    format!(
        "{policies}[upstream.a]\nurl = \"http://127.0.0.1:1\"\n\
         [[route]]\nmatch = \"GET /\"\nupstream = \"a\"\n"
    )
}

#[tokio::test]
async fn a_warning_about_settings_is_said_once_until_it_changes() {
    let one = settings("[policy.idle]\n");
    let mut seawall = Seawall::start(&one).await;
    let said = |seawall: &Seawall, name: &str| {
        seawall.log().matches(&format!("policy `{name}` is used by no")).count()
    };
    assert_eq!(said(&seawall, "idle"), 1, "{}", seawall.log());
    for generation in 2..=4 {
        seawall.signal(Signal::HUP);
        in_force(&seawall, generation).await;
    }
    assert_eq!(said(&seawall, "idle"), 1, "{}", seawall.log());

    seawall.write_settings(&settings("[policy.lazy]\n"));
    seawall.signal(Signal::HUP);
    until("the other one is said", || said(&seawall, "lazy") == 1).await;

    seawall.write_settings(&one);
    seawall.signal(Signal::HUP);
    until("the first one is said again", || said(&seawall, "idle") == 2).await;
    seawall.signal(Signal::TERM);
    seawall.wait().await;
}

/// Waits until settings of this generation are in force.
async fn in_force(seawall: &Seawall, generation: u32) {
    for _ in 0..600 {
        if seawall.metric("seawall_config_generation", &[]).await >= f64::from(generation) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("generation {generation} is not in force: {}", seawall.log());
}

#[test]
fn a_command_line_that_means_a_file_or_a_port_is_told_how_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, told) in [
        (&["run", "--listen", "80"][..], "127.0.0.1:80 for this machine only, 0.0.0.0:80 for"),
        (&["run", "foo.toml"], "`seawall run -c foo.toml`"),
        (&["foo.toml"], "`seawall run -c foo.toml`"),
        (&["validate"], "`seawall check`"),
    ] {
        let output = Seawall::command(folder.path(), arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
