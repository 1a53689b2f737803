#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| longhouse::fuzzing::file_path(data));
