import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// `ucp convert` beside `cp -r` of what it wrote, both as their users run them: whole processes,
/// taken in turn, on a warm page cache. Run by `convert-benchmark` beside this folder, which says
/// how.
public final class ConvertBenchmark {
    private static final long MIB = 1 << 20;
    private static final long MOST_TOUCHED = 4L << 30; // what fits beside a source of as much

    private final String ucp;
    private final Path source;
    private final Path place;
    private final int rounds;
    private final List<String> more;

    private ConvertBenchmark(String ucp, Path source, Path place, int rounds, List<String> more) {
        this.ucp = ucp;
        this.source = source;
        this.place = place;
        this.rounds = rounds;
        this.more = more;
    }

    /// `UCP SAMPLE SOURCE ROUNDS TARGET[,TARGET..] PLACE[,PLACE..] [OPTION OF CONVERT..]`
    public static void main(String[] args) throws IOException, InterruptedException {
        List<String> more = Arrays.asList(args).subList(6, args.length);
        Path source = Path.of(args[2]);
        int rounds = Integer.parseInt(args[3]);
        System.out.printf(
                "source %s: %d MiB; load %s%n",
                source, size(source) / MIB, Files.readString(Path.of("/proc/loadavg")).strip());
        System.out.println(
                """
                place        target                 wall s   cp s  ratio   CPU s   cp s  ratio\
                   RssAnon   File  Shmem    read written\
                """);
        for (String folder : args[5].split(",")) {
            Path place = place(folder);
            var bench = new ConvertBenchmark(args[0], source, place, rounds, more);
            for (String target : args[4].split(",")) {
                bench.target(folder, target.strip());
            }
            if (System.getenv("UPSTREAM") != null) {
                bench.upstream(folder, System.getenv("UPSTREAM"));
            }
        }
        Path place = place(args[5].split(",")[0]);
        new ConvertBenchmark(args[0], Path.of(args[1]), place, 9, List.of()).small();
    }

    /// A folder that is removed however this ends.
    private static Path place(String in) throws IOException {
        Path place = Files.createTempDirectory(Path.of(in), "ucp-bench-");
        Runtime.getRuntime()
                .addShutdownHook(
                        new Thread(
                                () -> {
                                    try {
                                        delete(place);
                                    } catch (IOException e) {
                                        System.err.println("left behind: " + e.getMessage());
                                    }
                                }));
        return place;
    }

    /// What one process took.
    ///
    /// @param wall seconds
    /// @param cpu seconds, of user and system
    /// @param anon largest resident anonymous memory seen, in bytes
    /// @param file the same of mapped files
    /// @param shmem the same of shared memory
    /// @param output what it printed
    private record Cost(double wall, double cpu, long anon, long file, long shmem, String output) {}

    private void target(String folder, String target) throws IOException, InterruptedException {
        List<Cost> ours = new ArrayList<>();
        List<Cost> theirs = new ArrayList<>();
        Path out = place.resolve("out");
        Path copy = place.resolve("copy");
        for (int round = 0; round < rounds; round++) {
            settle();
            ours.add(run(convert(out, target, more)));
            settle();
            theirs.add(run(List.of("cp", "-r", out.toString(), copy.toString())));
            delete(copy);
            delete(out);
        }
        double[] wall = new double[rounds];
        double[] cpu = new double[rounds];
        for (int k = 0; k < rounds; k++) {
            wall[k] = ours.get(k).wall() / theirs.get(k).wall();
            cpu[k] = ours.get(k).cpu() / theirs.get(k).cpu();
        }
        System.out.printf(
                Locale.ROOT,
                "%-12s %-22s %6.2f %6.2f %6.2f  %6.2f %6.2f %6.2f  %8d %6d %6d  %6d  %6d%n",
                folder,
                target,
                median(ours, Cost::wall),
                median(theirs, Cost::wall),
                median(wall),
                median(ours, Cost::cpu),
                median(theirs, Cost::cpu),
                median(cpu),
                ours.stream().mapToLong(Cost::anon).max().orElseThrow() / MIB,
                ours.stream().mapToLong(Cost::file).max().orElseThrow() / MIB,
                ours.stream().mapToLong(Cost::shmem).max().orElseThrow() / MIB,
                number(ours.getLast().output(), "bytes_read") / MIB,
                number(ours.getLast().output(), "bytes_written") / MIB);
    }

    /// DeepSpeed's own converter, in turn with ours.
    private void upstream(String folder, String program) throws IOException, InterruptedException {
        String tag = Files.readString(source.resolve("latest")).strip();
        List<Cost> ours = new ArrayList<>();
        List<Cost> theirs = new ArrayList<>();
        Path out = place.resolve("out");
        for (int round = 0; round < rounds; round++) {
            settle();
            ours.add(run(convert(out, "deepspeed-universal", more)));
            delete(out);
            settle();
            theirs.add(
                    run(
                            List.of(
                                    program,
                                    source.resolve(tag).toString(),
                                    out.resolve(tag + "_universal").toString())));
            delete(out);
        }
        double[] times = new double[rounds];
        for (int k = 0; k < rounds; k++) {
            times[k] = theirs.get(k).wall() / ours.get(k).wall();
        }
        System.out.printf(
                Locale.ROOT,
                "%-12s DeepSpeed's own converter: %.2f s (CPU %.2f), ucp %.2f s (CPU %.2f): %.1f"
                        + " times as long%n",
                folder,
                median(theirs, Cost::wall),
                median(theirs, Cost::cpu),
                median(ours, Cost::wall),
                median(ours, Cost::cpu),
                median(times));
    }

    private List<String> convert(Path out, String target, List<String> options) {
        List<String> command = new ArrayList<>(List.of(ucp, "convert", source.toString()));
        command.addAll(List.of("-o", out.toString(), "--json", "--no-fsync", "--to"));
        command.addAll(List.of(target.split(" +")));
        command.addAll(options);
        return command;
    }

    /// How long light commands and the conversion of a small checkpoint take.
    private void small() throws IOException, InterruptedException {
        System.out.println("\nmedian and least of " + rounds + ", ms");
        time("ucp --version", () -> List.of(ucp, "--version"));
        time("inspect of a sample", () -> List.of(ucp, "inspect", source.toString()));
        Path out = place.resolve("out");
        for (String target : List.of("deepspeed-universal", "universal")) {
            time(
                    "convert of a sample to " + target,
                    () -> {
                        delete(out);
                        return convert(out, target, more);
                    });
        }
    }

    private interface Command {
        List<String> words() throws IOException;
    }

    private void time(String name, Command command) throws IOException, InterruptedException {
        double[] wall = new double[rounds];
        for (int k = 0; k < rounds; k++) {
            wall[k] = run(command.words()).wall() * 1000;
        }
        System.out.printf(
                Locale.ROOT,
                "%-44s %6.0f %6.0f%n",
                name,
                median(wall),
                Arrays.stream(wall).min().orElseThrow());
    }

    /// Nothing left to be written back, the source in the page cache, free memory touched.
    private void settle() throws IOException, InterruptedException {
        run(List.of("sync", "-f", place.toString()));
        run(List.of("sh", "-c", "find \"$0\" -type f -exec cat {} + | wc -c", source.toString()));
        Pages.touch(Math.min(size(source), MOST_TOUCHED));
    }

    private Cost run(List<String> command) throws IOException, InterruptedException {
        Path output = place.resolve("output");
        Cpu before = Cpu.children();
        long start = System.nanoTime();
        Process process =
                new ProcessBuilder(command)
                        .redirectOutput(output.toFile())
                        .redirectError(ProcessBuilder.Redirect.INHERIT)
                        .start();
        Path status = Path.of("/proc", Long.toString(process.pid()), "status");
        long[] peak = new long[3];
        while (!process.waitFor(java.time.Duration.ofMillis(5))) {
            sample(status, peak);
        }
        double wall = (System.nanoTime() - start) / 1e9;
        String printed = Files.readString(output);
        if (process.exitValue() != 0) {
            throw new IOException(
                    String.join(" ", command) + " ended with " + process.exitValue() + printed);
        }
        double cpu = Cpu.children().since(before).both();
        return new Cost(wall, cpu, peak[0], peak[1], peak[2], printed);
    }

    private static final Pattern RESIDENT = Pattern.compile("Rss(Anon|File|Shmem):\\s+(\\d+) kB");

    private static void sample(Path status, long[] peak) {
        try {
            Matcher found = RESIDENT.matcher(Files.readString(status));
            while (found.find()) {
                int k = List.of("Anon", "File", "Shmem").indexOf(found.group(1));
                peak[k] = Math.max(peak[k], Long.parseLong(found.group(2)) * 1024);
            }
        } catch (IOException ended) {
            // Between waiting and reading.
        }
    }

    private static long number(String json, String field) {
        Matcher found = Pattern.compile("\"" + field + "\"\\s*:\\s*(\\d+)").matcher(json);
        return found.find() ? Long.parseLong(found.group(1)) : -1;
    }

    private static double median(List<Cost> costs, ToDoubleFunction<Cost> of) {
        return median(costs.stream().mapToDouble(of).toArray());
    }

    private static double median(double[] values) {
        double[] sorted = Arrays.stream(values).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static long size(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(Files::isRegularFile)
                    .collect(Collectors.summingLong(p -> p.toFile().length()));
        }
    }

    private static void delete(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(path);
            }
        }
    }
}
