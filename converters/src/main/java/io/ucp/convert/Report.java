package io.ucp.convert;

import io.ucp.formats.Finding;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/// What a conversion did: everything that a user must be told, as data.
///
/// @param output the folder
/// @param pointers the small files that commit the checkpoint, below `output`
/// @param parameters how many
/// @param states state name -> how many parameters have it
/// @param bytesRead from the source
/// @param bytesWritten to the target, small files included
/// @param bytesKept of the target, which an earlier run had written
/// @param bytesCloned of the target, in files that share the blocks of the source's
/// @param files of the target
/// @param readBack states that were read back from it and are the source's, where that was asked
///   for
/// @param digests parameter -> state -> digest of its real elements
/// @param differences copies that differed where the spec says `take first`, one line each
/// @param losses what the target has no place for
/// @param findings odd things in the source
public record Report(
        Path output,
        List<String> pointers,
        int parameters,
        Map<String, Integer> states,
        long bytesRead,
        long bytesWritten,
        long bytesKept,
        long bytesCloned,
        long files,
        OptionalLong readBack,
        Duration took,
        Map<String, Map<String, String>> digests,
        List<String> differences,
        List<String> losses,
        List<Finding> findings) {}
