//! What load shedding promises, for any numbers.

use proptest::prelude::*;
use seawall_core::{Priority, ShedReason};
use seawall_policy::shed::{self, Load, Params};

#[test]
fn each_priority_is_shed_at_its_own_load_and_the_most_important_never() {
    let params = Params::default();
    for (load, admitted) in [(0.0, 4), (0.79, 4), (0.8, 3), (0.9, 2), (0.95, 1), (1.0, 1)] {
        let seen = Priority::ALL.map(|priority| shed::admit(&params, load, priority));
        let wanted = [0, 1, 2, 3].map(|place| match place < admitted {
            true => Ok(()),
            false => Err(ShedReason::Load),
        });
        assert_eq!(seen, wanted, "at a load of {load}");
    }
}

#[test]
fn a_load_is_read_as_it_was_set() {
    let load = Load::default();
    assert_eq!(load.get(), 0.0);
    for (set, read) in [(0.25, 0.25), (1.0, 1.0), (-3.0, 0.0), (f64::NAN, 0.0)] {
        load.set(set);
        assert!((load.get() - read).abs() < 1e-6, "{set} is read as {}", load.get());
    }
}

proptest! {
    /// Numbers that are the wrong way round included.
    #[test]
    fn a_call_is_never_shed_while_a_less_important_one_would_be_taken(
        load_max in prop::array::uniform4(0.0_f64..1.5),
        load in 0.0_f64..=1.0,
    ) {
        let params = Params { load_max, ..Params::default() };
        let admitted = Priority::ALL.map(|priority| shed::admit(&params, load, priority).is_ok());
        prop_assert!(admitted.windows(2).all(|pair| pair[0] || !pair[1]), "{:?}", admitted);
    }

    #[test]
    fn every_priority_has_a_place_and_none_more_than_there_are(
        shares in prop::array::uniform4(0.0_f64..2.0),
        places in 1_u32..10_000,
    ) {
        let params = Params { places: shares, ..Params::default() };
        for priority in Priority::ALL {
            let own = shed::places(Some(&params), places, priority);
            prop_assert!((1..=places).contains(&own), "{own} of {places}");
        }
    }
}
