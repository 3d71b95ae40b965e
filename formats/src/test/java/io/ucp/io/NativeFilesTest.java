package io.ucp.io;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// What holds whether the file system of the test has it or not.
final class NativeFilesTest {
    @TempDir private Path folder;

    @Test
    void aCloneIsAFileOfItsOwnAndWithoutOneNothingChanges() throws IOException {
        Path from = Files.writeString(folder.resolve("from"), "a".repeat(10_000));
        Path to = Files.writeString(folder.resolve("to"), "b");

        boolean cloned = NativeFiles.clone(from, to);

        assertThat(to).hasContent(cloned ? "a".repeat(10_000) : "b");
        Files.writeString(to, "c");
        assertThat(from).hasContent("a".repeat(10_000));
    }

    @Test
    void whatIsNotThereIsNotCloned() throws IOException {
        Path to = Files.writeString(folder.resolve("to"), "b");

        assertThat(NativeFiles.clone(folder.resolve("from"), to)).isFalse();
        assertThat(NativeFiles.clone(to, folder.resolve("other"))).isFalse();
        assertThat(to).hasContent("b");
        assertThat(folder.resolve("other")).doesNotExist();
    }
}
