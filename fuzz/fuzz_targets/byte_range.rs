#![no_main]
libfuzzer_sys::fuzz_target!(|data: &str| longhouse::fuzzing::byte_range(data));
