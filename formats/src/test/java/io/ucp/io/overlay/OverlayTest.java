package io.ucp.io.overlay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.PlainFile;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

final class OverlayTest {
    @TempDir private Path folder;
    private Path view;

    private record Text(Path path, String text) implements ByteSource {
        @Override
        public long size() {
            return text.length();
        }

        @Override
        public ByteReader open() {
            return new ByteReader() {
                @Override
                public void read(long offset, ByteBuffer into) {
                    into.put(
                            text.getBytes(StandardCharsets.ISO_8859_1),
                            (int) offset,
                            into.remaining());
                }

                @Override
                public void close() {}
            };
        }
    }

    @BeforeEach
    void lay() throws IOException {
        Files.writeString(folder.resolve("there"), "on disk");
        Files.writeString(folder.resolve("short"), "on");
        view =
                Overlay.of(
                        folder,
                        Map.of(
                                folder.resolve("short"), new Text(folder, "not on disk"),
                                folder.resolve("gone/deep/file"), new Text(folder, "gone")));
    }

    @Test
    void filesReadAsGivenOrAsTheyAre() throws IOException {
        assertThat(Files.readString(view.resolve("there"))).isEqualTo("on disk");
        assertThat(Files.readString(view.resolve("short"))).isEqualTo("not on disk");
        assertThat(Files.readString(view.resolve("x/../gone/./deep/file"))).isEqualTo("gone");
        assertThat(Files.readAllLines(view.resolve("gone/deep/file"))).containsExactly("gone");
        assertThatThrownBy(() -> Files.readString(view.resolve("nowhere")))
                .isInstanceOf(NoSuchFileException.class);
    }

    @Test
    void foldersOfLostFilesAreThere() throws IOException {
        assertThat(Files.isDirectory(view.resolve("gone"))).isTrue();
        assertThat(Files.exists(view.resolve("gone/deep"))).isTrue();
        assertThat(Files.isDirectory(view.resolve("gone/other"))).isFalse();
        try (Stream<Path> entries = Files.list(view)) {
            assertThat(entries.map(p -> p.getFileName().toString()))
                    .containsExactly("gone", "short", "there");
        }
        try (Stream<Path> walk = Files.walk(view)) {
            assertThat(walk.filter(Files::isRegularFile).map(p -> view.relativize(p).toString()))
                    .containsExactly("gone/deep/file", "short", "there");
        }
        assertThatThrownBy(
                        () -> {
                            try (Stream<Path> listed = Files.list(view.resolve("short"))) {
                                assertThat(listed).isEmpty();
                            }
                        })
                .isInstanceOf(NotDirectoryException.class);
        assertThat(folder.resolve("gone")).doesNotExist();
    }

    @Test
    void lengthsAreThoseOfWhatIsRead() throws IOException {
        assertThat(Files.size(view.resolve("short"))).isEqualTo(11);
        assertThat(Files.size(view.resolve("there"))).isEqualTo(7);
        assertThat(PlainFile.of(view.resolve("gone/deep/file")).size()).isEqualTo(4);
        assertThat(Files.isRegularFile(view.resolve("gone/deep/file"))).isTrue();
        assertThat(Files.isReadable(view.resolve("gone/deep/file"))).isTrue();
    }

    @Test
    void channelsReadAnywhere() throws IOException {
        try (FileChannel channel =
                FileChannel.open(view.resolve("short"), StandardOpenOption.READ)) {
            ByteBuffer bytes = ByteBuffer.allocate(4);
            assertThat(channel.read(bytes, 4)).isEqualTo(4);
            assertThat(bytes.array()).isEqualTo("on d".getBytes(StandardCharsets.UTF_8));
            assertThat(channel.read(bytes.clear(), 9)).isEqualTo(2);
            assertThat(channel.read(bytes.clear(), 11)).isEqualTo(-1);
            assertThat(channel.position(7).read(bytes.clear())).isEqualTo(4);
            assertThat(channel.position()).isEqualTo(11);
            assertThat(channel.size()).isEqualTo(11);
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            assertThat(channel.transferTo(4, 100, Channels.newChannel(all))).isEqualTo(7);
            assertThat(all).hasToString("on disk");
        }
        try (ByteReader reader = PlainFile.of(view.resolve("short")).open()) {
            ByteBuffer bytes = ByteBuffer.allocate(4);
            reader.read(7, bytes);
            assertThat(bytes.array()).isEqualTo("disk".getBytes(StandardCharsets.UTF_8));
        }
    }

    @Test
    void nothingCanBeWritten() {
        Path file = view.resolve("there");
        assertThatThrownBy(() -> Files.writeString(file, "x"))
                .isInstanceOf(ReadOnlyFileSystemException.class);
        assertThatThrownBy(() -> Files.delete(file))
                .isInstanceOf(ReadOnlyFileSystemException.class);
        assertThatThrownBy(() -> Files.createDirectory(view.resolve("new")))
                .isInstanceOf(ReadOnlyFileSystemException.class);
        assertThatThrownBy(() -> Files.move(file, view.resolve("new")))
                .isInstanceOf(ReadOnlyFileSystemException.class);
        assertThat(Files.isWritable(file)).isFalse();
        assertThat(folder.resolve("there")).hasContent("on disk");
    }

    @Test
    void pathsLookLikeThoseBelowAndStayInTheView() {
        Path file = view.resolve("gone").resolve("deep/file");
        assertThat(file).hasToString(folder.resolve("gone/deep/file").toString());
        assertThat(view.resolve("gone/deep").resolveSibling("deep").resolve("file"))
                .isEqualTo(file);
        assertThat(file.hashCode()).isEqualTo(view.resolve("gone/deep/file").hashCode());
        assertThat((Object) file).isNotEqualTo(folder.resolve("gone/deep/file"));
        assertThat(Files.exists(file.toAbsolutePath().normalize())).isTrue();
        assertThat(file.startsWith(folder)).isTrue();
        assertThat(file.endsWith("deep/file")).isTrue();
        assertThat(Overlay.replaced(file))
                .isEqualTo(List.of(folder.resolve("gone/deep/file"), folder.resolve("short")));
        assertThat(Overlay.replaced(folder)).isEmpty();
    }
}
