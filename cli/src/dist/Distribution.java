import java.io.File;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;

/// Builds what the launcher runs, from the jars that Maven has made; run by Maven at `package`, in
/// the JDK 25 toolchain.
///
/// - the application, `target/app`: `lib/*.jar`, the start-up caches `lib/*.aot` and `jdk`, the
///   Java home that they fit;
/// - the distribution, `target/dist/ucp-VERSION`: the same and a `jlink` runtime, the launcher,
///   completions and man pages.
///
/// The JVM takes a start-up cache only with the jars, the times of the jars and the JVM that it was
/// recorded with. So each of the two gets its own, and every jar gets the time that the archive
/// will give it.
///
/// The class path is the application's: its jars are what goes into `lib`. Usage: `Distribution
/// BASEDIR VERSION TIMESTAMP DIST` with `DIST` false for the application alone.
final class Distribution {
    /// What picocli, Arrow, zstd-jni and Jackson use of the JDK, and what a monitoring agent would
    /// ask for.
    private static final String MODULES =
            "java.base,java.logging,java.management,java.xml,jdk.jfr,jdk.management,jdk.unsupported";

    private final Path cli;
    private final Path target;
    private final FileTime time;

    private Distribution(Path cli, FileTime time) {
        this.cli = cli;
        this.target = cli.resolve("target");
        this.time = time;
    }

    public static void main(String[] args) throws IOException {
        Distribution distribution =
                new Distribution(Path.of(args[0]), FileTime.from(Instant.parse(args[2])));
        distribution.application(args[1]);
        if (Boolean.parseBoolean(args[3])) {
            distribution.distribution(args[1]);
        }
    }

    /// The folder appears under its final name only when it is complete: the launcher takes it as
    /// the sign of a build. A link stays where the start-up caches were recorded: the JVM looks for
    /// the jars there, and where they are not it looks again for every class (docs/decisions/0003).
    private void application(String version) throws IOException {
        Path jdk = Path.of(System.getProperty("java.home"));
        Path application = target.resolve("app");
        Path unfinished = target.resolve("app.unfinished");
        delete(unfinished);
        libraries(unfinished.resolve("lib"), version);
        Files.writeString(unfinished.resolve("jdk"), jdk + "\n");
        recordStartUpCaches(unfinished.resolve("lib"), jdk);
        delete(application);
        Files.move(unfinished, application);
        Files.createSymbolicLink(unfinished, application.getFileName());
    }

    private void distribution(String version) throws IOException {
        Path home = target.resolve("dist").resolve("ucp-" + version);
        delete(home.getParent());
        libraries(home.resolve("lib"), version);
        copy(runtime(), home.resolve("runtime"));
        Path launcher = Files.createDirectories(home.resolve("bin")).resolve("ucp");
        Files.copy(cli.resolve("ucp"), launcher);
        Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwxr-xr-x"));
        Files.copy(cli.resolveSibling("LICENSE"), home.resolve("LICENSE"));
        Pages.write(home.resolve("share"), version, time.toInstant());
        recordStartUpCaches(home.resolve("lib"), home.resolve("runtime"));
    }

    private void libraries(Path lib, String version) throws IOException {
        Files.createDirectories(lib);
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
            if (entry.endsWith(".jar")) {
                Path jar = Path.of(entry);
                Files.copy(jar, lib.resolve(jar.getFileName()));
            }
        }
        Files.copy(target.resolve("ucp-cli-" + version + ".jar"), lib.resolve("ucp.jar"));
        Path picocli = picocli();
        Files.copy(
                picocli, lib.resolve(picocli.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        for (Path jar : list(lib)) {
            if (jar.getFileName().toString().matches("uc[lp].*")) {
                Unbootstrapped.rewrite(jar, time);
            }
            if (jar.endsWith("ucp.jar")) {
                delete(target.resolve("unproxied"));
                Unproxied.add(jar, target.resolve("unproxied"), time);
            }
            Files.setLastModifiedTime(jar, time);
        }
    }

    /// Picocli's published jar holds classes of Java 5, which a start-up cache cannot hold; the
    /// same sources compiled for this Java start in two thirds of the time (docs/decisions/0003).
    /// Made once a build folder.
    private Path picocli() throws IOException {
        Path sources = list(target.resolve("sources")).getFirst();
        Path made = target.resolve("recompiled");
        Path jar = made.resolve(sources.getFileName().toString().replace("-sources", ""));
        if (Files.exists(jar)) {
            return jar;
        }
        delete(made);
        Path classes = Files.createDirectories(made.resolve("classes"));
        Path unpacked = Files.createDirectories(made.resolve("sources"));
        tool("jar", "--extract", "--file", sources, "--dir", unpacked);
        List<Object> arguments =
                new ArrayList<>(List.of("--release", "25", "-nowarn", "-Xlint:none", "-proc:none"));
        arguments.addAll(List.of("-d", classes));
        arguments.addAll(
                list(unpacked.resolve("picocli")).stream()
                        .filter(file -> file.toString().endsWith(".java"))
                        .toList());
        tool("javac", arguments.toArray());
        for (Path file : list(classes.resolve("picocli"))) {
            Files.write(file, Unproxied.redirected(Files.readAllBytes(file)));
        }
        tool("jar", "--create", "--file", jar, "--date=" + time, "-C", classes, ".");
        return jar;
    }

    /// Links the runtime once a JDK: it takes longer than all the rest.
    private Path runtime() throws IOException {
        Path runtime = target.resolve("runtime");
        Path stamp = target.resolve("runtime.stamp");
        String wanted = System.getProperty("java.runtime.version") + " " + MODULES;
        if (Files.exists(stamp) && Files.readString(stamp).equals(wanted)) {
            return runtime;
        }
        delete(runtime);
        Files.deleteIfExists(stamp);
        tool(
                "jlink",
                "--add-modules",
                MODULES,
                "--strip-debug",
                "--no-header-files",
                "--no-man-pages",
                "--compress",
                "zip-6",
                "--output",
                runtime);
        Files.writeString(stamp, wanted);
        return runtime;
    }

    /// One each for what the launcher runs without a checkpoint, for what only looks at one, and
    /// for the rest.
    private void recordStartUpCaches(Path lib, Path java) throws IOException {
        recordStartUpCache(lib.resolve("ucp.aot"), java, "rehearsal.txt");
        recordStartUpCache(lib.resolve("ucp-look.aot"), java, "rehearsal-look.txt");
        recordStartUpCache(lib.resolve("ucp-light.aot"), java, "rehearsal-light.txt");
    }

    /// Runs the rehearsal with the launcher's own flags, which the cache is bound to as well.
    private void recordStartUpCache(Path cache, Path java, String rehearsal) throws IOException {
        Path configuration = target.resolve("start-up-cache.config");
        Path jar = cache.resolveSibling("ucp.jar");
        java(
                java,
                "-XX:AOTMode=record",
                "-XX:AOTConfiguration=" + configuration,
                "-jar",
                jar,
                "rehearse",
                cli.resolve("src/dist").resolve(rehearsal));
        java(
                java,
                "-XX:AOTMode=create",
                "-XX:AOTConfiguration=" + configuration,
                "-XX:AOTCache=" + cache,
                "-jar",
                jar);
        Files.delete(configuration);
        if (!Files.exists(cache)) {
            throw new IllegalStateException("the JVM wrote no start-up cache " + cache);
        }
    }

    /// Runs a JVM in the fresh folder `target/rehearsal`, from where a rehearsal reaches the
    /// samples by `../../../samples`.
    private void java(Path home, Object... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(home.resolve("bin/java").toString()));
        command.addAll(launcherFlags());
        Stream.of(arguments).map(Object::toString).forEach(command::add);
        Path scratch = target.resolve("rehearsal");
        delete(scratch);
        Files.createDirectories(scratch);
        Path log = target.resolve("start-up-cache.log");
        ProcessBuilder builder = new ProcessBuilder(command).directory(scratch.toFile());
        builder.redirectErrorStream(true).redirectOutput(log.toFile());
        try {
            if (builder.start().waitFor() != 0) {
                throw new IllegalStateException(
                        String.join(" ", command) + "\n" + Files.readString(log));
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /// The line `flags='...'` of the launcher.
    private List<String> launcherFlags() throws IOException {
        for (String line : Files.readAllLines(cli.resolve("ucp"))) {
            if (line.startsWith("flags='")) {
                return Arrays.asList(
                        line.substring("flags='".length(), line.length() - 1).split(" "));
            }
        }
        throw new IllegalStateException("cli/ucp has no line that starts with flags='");
    }

    private static void tool(String name, Object... arguments) {
        String[] words = Stream.of(arguments).map(Object::toString).toArray(String[]::new);
        int exit = ToolProvider.findFirst(name).orElseThrow().run(System.err, System.err, words);
        if (exit != 0) {
            throw new IllegalStateException(
                    name + " " + String.join(" ", words) + " ended with " + exit);
        }
    }

    private static List<Path> list(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    /// Copies a tree; links stay links.
    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Path copy = to.resolve(from.relativize(file));
                Files.createDirectories(copy.getParent());
                Files.copy(
                        file, copy, LinkOption.NOFOLLOW_LINKS, StandardCopyOption.COPY_ATTRIBUTES);
            }
        }
    }

    private static void delete(Path tree) throws IOException {
        if (!Files.exists(tree, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Files.walkFileTree(
                tree,
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
                        if (failure != null) {
                            throw failure;
                        }
                        Files.delete(folder);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
