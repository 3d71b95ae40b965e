package io.ucp.formats;

import java.util.List;
import java.util.Map;
import java.util.function.Function;

/// Everything a conversion writes.
///
/// @param files in any order; may be written in parallel
/// @param closing files whose content needs what was found while copying (a manifest): written
///   after all of `files`
/// @param pointers small files that commit the checkpoint (`latest_universal`), written last, in
///   order
/// @param losses what the target has no place for, one line each: goes into the report, and
///   `--strict` makes it an error
/// @param notes what is done otherwise than one might think and loses nothing: goes into the report
public record TargetTree(
        List<TargetFile> files,
        Function<Outcome, List<SmallFile>> closing,
        List<SmallFile> pointers,
        List<String> losses,
        List<String> notes) {
    public TargetTree {
        notes = List.copyOf(notes);
        files = List.copyOf(files);
        pointers = List.copyOf(pointers);
        losses = List.copyOf(losses);
    }

    /// What was found while copying.
    ///
    /// @param digests parameter -> state -> digest of its real elements
    /// @param notes parameter -> odd things, e.g. copies that differed
    public record Outcome(
            Map<String, Map<String, String>> digests, Map<String, List<String>> notes) {
        public Outcome {
            digests = Map.copyOf(digests);
            notes = Map.copyOf(notes);
        }
    }

    /// A file that fits in memory.
    public record SmallFile(String path, byte[] bytes) {}
}
