package io.ucp.flip;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// Something on disk that is damaged at one place after another, and what tells whether that is
/// noticed.
///
/// @param folder the only one that is damaged
/// @param unsealed kinds of bytes that the format keeps no checksum of, as a regular expression:
///   only a record of the files finds everything in them
record Damaged(String name, Path folder, String unsealed, Look look) {
    /// Where every byte is under a checksum.
    static final String NONE = "";

    /// Looks at what lies there now.
    interface Look {
        /// @return FOUND with the documented error, too
        Outcome now() throws IOException;
    }

    List<Path> files() throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(Files::isRegularFile).sorted().toList();
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
