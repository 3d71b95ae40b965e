package io.ucp.fuzz;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// What is fuzzed.
///
/// @param seeds whole inputs
/// @param words that its inputs are made of
record Parser(String name, List<byte[]> seeds, List<byte[]> words, Reader reader) {
    /// Reads an input as ucp would.
    @FunctionalInterface
    interface Reader {
        /// @param folder of this run's own, in which files can be written
        void read(byte[] input, Path folder) throws Exception;
    }

    Parser with(List<byte[]> more) {
        List<byte[]> all = new ArrayList<>(seeds);
        all.addAll(more);
        return new Parser(name, all, words, reader);
    }
}
