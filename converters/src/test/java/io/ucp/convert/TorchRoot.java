package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;

/// A root file system with torch, safetensors and transformers, in which the frameworks themselves
/// read what ucp wrote. `-Pinterop -Ducp.torch.root=DIR` names it.
///
/// A test copies what it wrote into a scratch folder of the root and runs a script of
/// `src/test/python` there; the script fails where something is not as it should be.
final class TorchRoot implements AutoCloseable {
    static final String PROPERTY = "ucp.torch.root";

    private final Path root;
    private final Path scratch;
    private final List<String> sources = new ArrayList<>();

    private TorchRoot(Path root, Path scratch) {
        this.root = root;
        this.scratch = scratch;
    }

    /// Skips the test where there is no such root.
    static TorchRoot open() throws IOException {
        String named = System.getProperty(PROPERTY, "");
        assumeTrue(
                !named.isEmpty() && Files.isExecutable(Path.of(named, "usr/bin/python3")),
                "skipped: no root with torch at '%s' (-D%s=DIR)".formatted(named, PROPERTY));
        Path root = Path.of(named);
        return new TorchRoot(root, Files.createTempDirectory(root.resolve("tmp"), "ucp"));
    }

    /// Gives scripts a framework that is not installed in the root.
    ///
    /// @param property names a folder with the framework's sources; the test is skipped without
    /// @param module the folder in it that is imported
    TorchRoot with(String property, String module) throws IOException {
        String named = System.getProperty(property, "");
        boolean there = !named.isEmpty() && Files.isDirectory(Path.of(named, module));
        if (!there) {
            close();
        }
        assumeTrue(
                there,
                "skipped: no sources with %s at '%s' (-D%s=DIR)"
                        .formatted(module, named, property));
        Path folder = Path.of(named).toAbsolutePath();
        if (folder.startsWith(root.toAbsolutePath())) {
            sources.add(seen(folder));
        } else {
            copy(folder.resolve(module), scratch.resolve(module));
            sources.add(seen(scratch));
        }
        return this;
    }

    /// A folder for what a script makes, below the scratch folder.
    Path scratch(String name) {
        return scratch.resolve(name);
    }

    /// A path inside the root as the root sees it.
    String seen(Path path) {
        return "/" + root.relativize(path);
    }

    /// Copies a file or a folder into the scratch folder.
    ///
    /// @return its path as the root sees it
    String put(Path from, String as) throws IOException {
        return seen(copy(from, scratch.resolve(as)));
    }

    private static Path copy(Path from, Path to) throws IOException {
        Files.walkFileTree(
                from,
                EnumSet.of(FileVisitOption.FOLLOW_LINKS),
                Integer.MAX_VALUE,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(
                            Path folder, BasicFileAttributes attributes) throws IOException {
                        Files.createDirectories(to.resolve(from.relativize(folder).toString()));
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        Path target =
                                file.equals(from)
                                        ? to
                                        : to.resolve(from.relativize(file).toString());
                        Files.copy(file, target);
                        return FileVisitResult.CONTINUE;
                    }
                });
        return to;
    }

    /// Runs a script of `src/test/python` and gives what it said; it has to end well.
    String python(String script, String... arguments) throws IOException, InterruptedException {
        Path scripts = scratch.resolve("python");
        if (Files.notExists(scripts)) {
            copy(Path.of("src/test/python"), scripts);
        }
        String placed = seen(scripts.resolve(script));
        List<String> command =
                new ArrayList<>(List.of("chroot", root.toString(), "python3", placed));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("OMP_NUM_THREADS", "1");
        builder.environment().put("HF_HUB_OFFLINE", "1");
        builder.environment().put("USE_LIBUV", "0");
        builder.environment().put("GLOO_SOCKET_IFNAME", "lo");
        builder.environment().put("PYTHONPATH", String.join(":", sources));
        builder.environment().put("PYTHONWARNINGS", "ignore");
        Process process = builder.start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as("%s said:%n%s", script, said).isZero();
        return said;
    }

    @Override
    public void close() throws IOException {
        Files.walkFileTree(
                scratch,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        Files.delete(file);
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult postVisitDirectory(Path folder, IOException failure)
                            throws IOException {
                        Files.delete(folder);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
