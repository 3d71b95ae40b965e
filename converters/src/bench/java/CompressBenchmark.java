import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/// `ucp convert --compress` beside a bare loop over the same bytes. Run by `compress-benchmark`
/// beside this folder, which says how.
public final class CompressBenchmark {
    private static final double MIB = 1 << 20;

    private final String ucp;
    private final Path source;
    private final Path place;

    private CompressBenchmark(String ucp, Path source, Path place) {
        this.ucp = ucp;
        this.source = source;
        this.place = place;
    }

    /// What a process took, and the bytes that came out.
    ///
    /// @param within seconds without those of its start
    private record Run(double seconds, double within, Cpu cpu, long bytes) {}

    /// `UCP SOURCE PLACE ROUNDS LEVEL[,LEVEL..]`
    public static void main(String[] args) throws Exception {
        var bench = new CompressBenchmark(args[0], Path.of(args[1]), Path.of(args[2]));
        int rounds = Integer.parseInt(args[3]);
        long size = size(BareLoop.files(bench.source, ""));
        System.out.printf(
                Locale.ROOT,
                "%.0f MiB, %d threads; medians of %d; load %s%n",
                size / MIB,
                Runtime.getRuntime().availableProcessors(),
                rounds,
                Files.readString(Path.of("/proc/loadavg")).strip());
        System.out.println(
                "level     ucp s   user    sys  loop s   user    sys  loop/ucp"
                        + "   without start    ratio: ucp   loop");
        for (String level : args[4].split(",")) {
            bench.level(level, rounds, size);
        }
        bench.states(args[4].split(","));
    }

    /// What is left of each state.
    private void states(String[] levels) throws IOException, InterruptedException {
        Path out = place.resolve("out");
        run(conversion(out, List.of()));
        Map<String, Double> plain = states(out);
        delete(out);
        System.out.printf("%n%-18s", "size of");
        plain.keySet().forEach(state -> System.out.printf(" %12s", state));
        System.out.println();
        for (String level : levels) {
            for (boolean shuffle : new boolean[] {false, true}) {
                run(compressing(out, level, shuffle));
                Map<String, Double> sizes = states(out);
                delete(out);
                System.out.printf("%-18s", "zstd:" + level + (shuffle ? " --shuffle" : ""));
                plain.forEach(
                        (state, size) ->
                                System.out.printf(Locale.ROOT, " %12.3f", sizes.get(state) / size));
                System.out.println();
            }
        }
    }

    private static Map<String, Double> states(Path universal) throws IOException {
        Map<String, Double> sizes = new TreeMap<>();
        for (Path file : BareLoop.files(universal, ".arrow")) {
            String state = file.getFileName().toString().replaceFirst("-[0-9]+\\.arrow", "");
            sizes.merge(state, (double) Files.size(file), Double::sum);
        }
        return sizes;
    }

    private void level(String level, int rounds, long size) throws Exception {
        List<Run> ours = new ArrayList<>();
        List<Run> plain = new ArrayList<>();
        List<Run> frames = new ArrayList<>();
        List<Run> warm = new ArrayList<>();
        List<Run> shuffled = new ArrayList<>();
        warm(level, size); // compiled by now
        for (int round = 0; round < rounds; round++) {
            ours.add(ours(level, false, size));
            shuffled.add(ours(level, true, size));
            plain.add(loop(level, BareLoop.Way.PLAIN, size));
            frames.add(loop(level, BareLoop.Way.FRAMES, size));
            warm.add(warm(level, size));
        }
        row("zstd:" + level, ours, plain, size);
        row("zstd:" + level + "f", ours, frames, size);
        row("zstd:" + level + "w", ours, warm, size);
        row("zstd:" + level + "s", shuffled, plain, size);
        row("zstd:" + level + "sw", shuffled, warm, size);
    }

    private Run ours(String level, boolean shuffle, long size)
            throws IOException, InterruptedException {
        Path out = place.resolve("out");
        Pages.touch(size);
        Cpu before = Cpu.children();
        long start = System.nanoTime();
        run(compressing(out, level, shuffle));
        double seconds = (System.nanoTime() - start) / 1e9;
        Cpu cpu = Cpu.children().since(before);
        long bytes = size(BareLoop.files(out, ".arrow"));
        delete(out);
        return new Run(seconds, seconds, cpu, bytes);
    }

    /// With a JVM that starts as fast as it can.
    private Run loop(String level, BareLoop.Way way, long size)
            throws IOException, InterruptedException {
        Path out = place.resolve("loop");
        Pages.touch(size);
        Cpu before = Cpu.children();
        long start = System.nanoTime();
        String said =
                run(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "--enable-native-access=ALL-UNNAMED",
                                "-Djdk.util.jar.enableMultiRelease=false",
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "-cp",
                                System.getProperty("java.class.path"),
                                BareLoop.class.getName(),
                                source.toString(),
                                out.toString(),
                                level,
                                way.name()));
        double seconds = (System.nanoTime() - start) / 1e9;
        Cpu cpu = Cpu.children().since(before);
        delete(out);
        String[] parts = said.strip().split(" ");
        return new Run(seconds, Double.parseDouble(parts[0]), cpu, Long.parseLong(parts[1]));
    }

    /// The plain loop in this JVM.
    private Run warm(String level, long size) throws Exception {
        Path out = place.resolve("loop");
        List<Path> files = BareLoop.files(source, "");
        Pages.touch(size);
        Cpu before = Cpu.own();
        BareLoop.Run run = BareLoop.run(files, out, Integer.parseInt(level), BareLoop.Way.PLAIN);
        Cpu cpu = Cpu.own().since(before);
        delete(out);
        return new Run(run.seconds(), run.seconds(), cpu, run.bytes());
    }

    private static void row(String name, List<Run> ours, List<Run> loops, long size) {
        System.out.printf(
                Locale.ROOT,
                "%-8s %6.2f %6.2f %6.2f  %6.2f %6.2f %6.2f  %8.2f  %6.2f %7.2f   %11.4f %6.4f%n",
                name,
                median(ours, Run::seconds),
                median(ours, run -> run.cpu().user()),
                median(ours, run -> run.cpu().system()),
                median(loops, Run::seconds),
                median(loops, run -> run.cpu().user()),
                median(loops, run -> run.cpu().system()),
                median(shares(ours, loops, Run::seconds)),
                median(loops, Run::within),
                median(shares(ours, loops, Run::within)),
                (double) ours.getFirst().bytes() / size,
                (double) loops.getFirst().bytes() / size);
    }

    private static double[] shares(List<Run> ours, List<Run> loops, ToDoubleFunction<Run> of) {
        double[] shares = new double[ours.size()];
        for (int k = 0; k < shares.length; k++) {
            shares[k] = of.applyAsDouble(loops.get(k)) / of.applyAsDouble(ours.get(k));
        }
        return shares;
    }

    private List<String> compressing(Path out, String level, boolean shuffle) {
        List<String> options = new ArrayList<>(List.of("--compress", "zstd:" + level));
        if (shuffle) {
            options.add("--shuffle");
        }
        return conversion(out, options);
    }

    private List<String> conversion(Path out, List<String> options) {
        List<String> command =
                new ArrayList<>(List.of(ucp, "convert", source.toString(), "-o", out.toString()));
        command.addAll(List.of("--to", "universal", "--no-fsync", "--quiet"));
        command.addAll(options);
        return command;
    }

    /// What it printed.
    private static String run(List<String> command) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + " failed");
        }
        return said;
    }

    private static long size(List<Path> files) throws IOException {
        long size = 0;
        for (Path file : files) {
            size += Files.size(file);
        }
        return size;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.delete(path);
            }
        }
    }

    private static double median(List<Run> runs, ToDoubleFunction<Run> of) {
        return median(runs.stream().mapToDouble(of).toArray());
    }

    private static double median(double[] values) {
        double[] sorted = Arrays.stream(values).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
