package io.ucp.lang;

import io.ucp.lang.diagnostic.SourceText;

import java.util.Optional;

/// Where the text of an imported spec comes from.
@FunctionalInterface
public interface ImportSource {
    /// The text that an import means, under a name that is the same for the same text; absent when
    /// there is none.
    ///
    /// @param target as the import gives it: a file, or the name of a bundled spec
    /// @param importer the text that the import stands in, for targets relative to it
    Optional<SourceText> find(String target, SourceText importer);
}
