//! Transactions against a `BTreeMap`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, u64>;

#[derive(Debug, Clone)]
enum Op {
    Put(bool, Vec<u8>, u64),
    Delete(bool, Vec<u8>),
}

/// Few and short, so that they meet; 0xff, because prefixes that end in it have no successor of their own.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(u8::MAX)], 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (any::<bool>(), key(), any::<u64>()).prop_map(|(other, key, id)| Op::Put(other, key, id)),
        1 => (any::<bool>(), key()).prop_map(|(other, key)| Op::Delete(other, key)),
    ]
}

/// The operations, whether the transaction fails after them, and a prefix to look at.
fn transaction() -> impl Strategy<Value = (Vec<Op>, bool, Vec<u8>)> {
    (
        prop::collection::vec(op(), 0..8),
        prop::bool::weighted(0.3),
        key(),
    )
}

fn expected(model: &Model, prefix: &[u8]) -> Vec<(Vec<u8>, Name)> {
    let found = model.iter().filter(|(key, _)| key.starts_with(prefix));
    found.map(|(key, &id)| (key.clone(), Name(id))).collect()
}

/// The second table: the same record under another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Other(u64);

impl Record for Other {
    const TABLE: &'static str = "other";
    const FORMAT: u8 = 1;
}

const OTHERS: Table<Other> = Table::new();

fn run(tx: &mut Tx<'_>, op: &Op, models: &mut [Model; 2]) -> Result<(), StoreError> {
    match op {
        Op::Put(other, key, id) => {
            models[usize::from(*other)].insert(key.clone(), *id);
            match other {
                false => tx.put(NAMES, key, &Name(*id)),
                true => tx.put(OTHERS, key, &Other(*id)),
            }
        }
        Op::Delete(other, key) => {
            let was = models[usize::from(*other)].remove(key).is_some();
            let deleted = match other {
                false => tx.delete(NAMES, key)?,
                true => tx.delete(OTHERS, key)?,
            };
            assert_eq!(deleted, was);
            Ok(())
        }
    }
}

fn assert_same(store: &Store, models: &[Model; 2], prefix: &[u8]) {
    let mut found: Vec<_> = store.scan(NAMES, prefix).map(Result::unwrap).collect();
    assert_eq!(found, expected(&models[0], prefix));
    found.reverse();
    let back: Vec<_> = store
        .scan(NAMES, prefix)
        .rev()
        .map(Result::unwrap)
        .collect();
    assert_eq!(back, found);
    let others = store.scan(OTHERS, b"").map(|other| other.unwrap());
    let others: Model = others.map(|(key, Other(id))| (key, id)).collect();
    assert_eq!(others, models[1]);
    for (key, &id) in &models[0] {
        assert_eq!(store.get(NAMES, key).unwrap(), Some(Name(id)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn transactions_are_what_a_map_is_and_failed_ones_change_nothing(
        transactions in prop::collection::vec(transaction(), 1..12),
    ) {
        let state = tempfile::tempdir().unwrap();
        let mut store = Store::open(state.path()).unwrap();
        let mut models = [Model::new(), Model::new()];
        for (round, (ops, fails, prefix)) in transactions.iter().enumerate() {
            let mut within = models.clone();
            let done = store.write_blocking(|tx| {
                for op in ops {
                    run(tx, op, &mut within)?;
                    assert_eq!(tx.scan(NAMES, prefix)?, expected(&within[0], prefix));
                    let one = tx.get(NAMES, prefix)?.map(|Name(id)| id);
                    assert_eq!(one, within[0].get(prefix).copied());
                }
                if *fails { Err(StoreError::Closed) } else { Ok(()) }
            });
            prop_assert_eq!(done.is_err(), *fails);
            if !fails {
                models = within;
            }
            if round % 5 == 4 {
                drop(store);
                store = Store::open(state.path()).unwrap();
            }
            assert_same(&store, &models, prefix);
        }
    }

    #[test]
    fn a_walk_from_both_ends_meets_in_the_middle(count in 0u64..300, turns in prop::collection::vec(any::<bool>(), 300)) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        store.write_blocking(|tx| {
            (0..count).try_for_each(|id| tx.put(NAMES, id.to_be_bytes(), &Name(id)))
        }).map_err(|error: StoreError| TestCaseError::fail(error.to_string()))?;
        let mut walk = store.scan(NAMES, b"");
        let (mut low, mut high) = (0, count);
        for back in turns {
            let found = if back { walk.next_back() } else { walk.next() };
            let Some(found) = found else { break };
            let Name(id) = found.unwrap().1;
            if back {
                high -= 1;
                prop_assert_eq!(id, high);
            } else {
                prop_assert_eq!(id, low);
                low += 1;
            }
        }
        prop_assert_eq!(low, high);
    }
}
