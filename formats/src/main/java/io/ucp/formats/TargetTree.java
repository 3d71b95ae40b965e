package io.ucp.formats;

import java.util.List;
import java.util.Map;
import java.util.function.Function;

/// Everything a conversion writes.
///
/// @param files in any order; may be written in parallel
/// @param closing files whose content needs the digests (a manifest): given `parameter` -> `state` ->
///     digest, they are written after all of `files`
/// @param pointers small files that commit the checkpoint (`latest_universal`), written last, in order
/// @param losses what the target has no place for, one line each: goes into the report, and
///     `--strict` makes it an error
public record TargetTree(
        List<TargetFile> files,
        Function<Map<String, Map<String, String>>, List<SmallFile>> closing,
        List<SmallFile> pointers,
        List<String> losses) {
    public TargetTree {
        files = List.copyOf(files);
        pointers = List.copyOf(pointers);
        losses = List.copyOf(losses);
    }

    /// A file that fits in memory.
    public record SmallFile(String path, byte[] bytes) {}
}
