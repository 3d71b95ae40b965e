package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.TargetTree.SmallFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

class OutputFolderTest {
    @TempDir Path parent;

    @Test
    void appearsWholeWhenCommitted() throws IOException {
        try (OutputFolder folder = OutputFolder.create(parent.resolve("out"))) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
            assertThat(parent.resolve("out")).doesNotExist();
            folder.commit();
        }
        assertThat(names()).containsExactly("out");
        assertThat(parent.resolve("out/a/b")).hasBinaryContent(new byte[] {1, 2});
    }

    @Test
    void leavesNothingWhenClosedBefore() throws IOException {
        try (OutputFolder folder = OutputFolder.create(parent.resolve("out"))) {
            folder.write(new SmallFile("a/b", new byte[] {1, 2}));
        }
        assertThat(names()).isEmpty();
    }

    @Test
    void neverWritesOverWhatIsThere() throws IOException {
        Files.writeString(parent.resolve("out"), "mine");
        assertThatThrownBy(() -> OutputFolder.create(parent.resolve("out")))
                .isInstanceOf(OutputExistsException.class)
                .hasMessageContaining("it exists already");
        assertThat(parent.resolve("out")).hasContent("mine");
    }

    @Test
    void givesWayToWhatTookItsNameMeanwhile() throws IOException {
        try (OutputFolder folder = OutputFolder.create(parent.resolve("out"))) {
            Files.createDirectory(parent.resolve("out"));
            assertThatThrownBy(folder::commit).isInstanceOf(OutputExistsException.class);
        }
        assertThat(names()).containsExactly("out");
    }

    @Test
    void refusesBeforeTheFirstByteWhatTheDiskCannotHold() throws IOException {
        try (OutputFolder folder = OutputFolder.create(parent.resolve("out"))) {
            assertThatThrownBy(() -> folder.requireSpace(Long.MAX_VALUE))
                    .isInstanceOf(FileSystemException.class)
                    .hasMessageContaining("no space")
                    .hasMessageContaining("hint: free some room");
        }
        assertThat(names()).isEmpty();
    }

    private List<String> names() throws IOException {
        try (Stream<Path> entries = Files.list(parent)) {
            return entries.map(p -> p.getFileName().toString()).toList();
        }
    }
}
