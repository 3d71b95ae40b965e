package io.ucp.convert;

import io.ucp.bind.TargetBinder;
import io.ucp.bind.TargetRequest;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.lang.ast.Spec;
import io.ucp.layout.ImpossibleLayoutException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/// The layouts that a model can have on a number of GPUs, the smallest move from its own first.
///
/// @param possible in that order
/// @param untried how many were left, where the format refused as many as are tried
/// @param tooLarge how many need more memory than there is
/// @param impossible a reason -> the degrees that it rules out (`tp 3`)
public record Layouts(
        List<Choice> possible, int untried, int tooLarge, Map<String, List<String>> impossible) {
    /// Layouts that are tried, where the format refuses one after the other.
    private static final int TRIES = 64;

    public Layouts {
        possible = List.copyOf(possible);
    }

    /// @param moved degrees that change, as `tp 2 -> 1`; `dp`, which is what the others leave, last
    public record Choice(
            int tp, int pp, int dp, int ep, int stage, GpuMemory memory, List<String> moved) {
        public Choice {
            moved = List.copyOf(moved);
        }

        /// To ask for it; `ep` only where it moves, for a model without experts has none.
        public TargetRequest asked(TargetRequest.VocabularyPadding vocabulary) {
            boolean experts = ep > 1 || moved.stream().anyMatch(m -> m.startsWith("ep "));
            TargetRequest job = job(tp, pp, dp, stage).withVocabulary(vocabulary);
            return experts ? job.withEp(ep) : job;
        }
    }

    private static TargetRequest job(int tp, int pp, int dp, int stage) {
        return TargetRequest.SAME.withTp(tp).withPp(pp).withDp(dp).withStage(stage);
    }

    /// What there is to run on.
    ///
    /// @param gpus of the job
    /// @param perNode of one machine: tensor-parallel ranks stay within
    /// @param memory of one GPU, in bytes
    /// @param most layouts to find
    /// @param tries layouts to lay out for that, where the format refuses some
    public record Cluster(int gpus, int perNode, long memory, int most, int tries) {
        public Cluster(int gpus, int perNode, long memory, int most) {
            this(gpus, perNode, memory, most, Math.max(TRIES, most));
        }
    }

    /// Every layout that is given has been laid out: `ucp convert` writes it.
    ///
    /// @param request a conversion to DeepSpeed, whose job is left open
    public static Layouts of(Request request, Described described, Cluster cluster)
            throws IOException {
        return new Search(request, described, cluster).run();
    }

    private static final class Search {
        private final Request request;
        private final TargetNames names;
        private final TargetBinder.Source source;
        private final Optional<Spec> spec;
        private final Cluster cluster;
        private final boolean experts;
        private final List<Ranked> found = new ArrayList<>();
        private final Map<String, TreeSet<String>> impossible = new LinkedHashMap<>();
        private int tooLarge;
        private int untried;

        /// @param moves degrees that change, `dp` not counted
        /// @param steps factors that tensor, pipeline and expert parallelism change by
        private record Ranked(Choice choice, TargetJob job, int moves, double steps) {}

        Search(Request request, Described described, Cluster cluster) throws IOException {
            this.request = request;
            this.names = TargetNames.of(request, described, Conversion.format(request.to()));
            this.source = TargetJobs.source(described, names);
            this.spec = TargetJobs.spec(request, described, names);
            this.cluster = cluster;
            this.experts = source.mesh().stream().anyMatch(a -> a.axis().equals("ep"));
        }

        Layouts run() {
            for (int tp : divisors(cluster.gpus)) {
                if (cluster.perNode % tp != 0) {
                    continue;
                }
                for (int pp : divisors(cluster.gpus / tp)) {
                    int dp = cluster.gpus / tp / pp;
                    for (int ep : experts ? divisors(dp * tp) : List.of(1)) {
                        stages(tp, pp, dp, ep);
                    }
                }
            }
            found.sort(
                    Comparator.comparingInt(Ranked::moves)
                            .thenComparingDouble(r -> r.steps)
                            .thenComparingLong(r -> r.choice.memory().total())
                            .thenComparingInt(r -> r.choice.tp()));
            List<Choice> possible = possible();
            Map<String, List<String>> reasons = new LinkedHashMap<>();
            impossible.forEach((reason, degrees) -> reasons.put(reason, List.copyOf(degrees)));
            return new Layouts(possible, untried, tooLarge, reasons);
        }

        /// The first that the format writes.
        private List<Choice> possible() {
            List<Choice> possible = new ArrayList<>();
            int tries = 0;
            for (Ranked r : found) {
                if (possible.size() == cluster.most) {
                    break;
                }
                if (tries == cluster.tries) {
                    untried = found.size() - tries;
                    break;
                }
                tries++;
                try {
                    Conversion.layout(request, names, Optional.of(r.job));
                    possible.add(r.choice);
                } catch (ImpossibleLayoutException | RefusedException e) {
                    Choice c = r.choice;
                    impossible
                            .computeIfAbsent(firstLine(e), _ -> new TreeSet<>())
                            .add("tp %d pp %d dp %d".formatted(c.tp(), c.pp(), c.dp()));
                }
            }
            return possible;
        }

        private static String firstLine(RuntimeException e) {
            return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        }

        private void stages(int tp, int pp, int dp, int ep) {
            for (int stage = source.stage() < 1 ? 0 : 1; stage <= 3; stage++) {
                TargetRequest job = job(tp, pp, dp, stage);
                TargetRequest asked = experts ? job.withEp(ep) : job;
                try {
                    add(
                            TargetBinder.bind(
                                            source,
                                            spec,
                                            TargetJobs.isNamed(request),
                                            asked,
                                            request.settings())
                                    .job());
                } catch (ImpossibleLayoutException | RefusedException e) {
                    note(e, tp, pp, ep, stage);
                }
            }
        }

        /// The first line of a refusal begins with the degrees that it rules out, where it is of
        /// degrees.
        private void note(RuntimeException e, int tp, int pp, int ep, int stage) {
            String text = firstLine(e);
            String degrees =
                    text.contains("pp " + pp)
                            ? "pp " + pp
                            : text.startsWith("ep ")
                                    ? "ep " + ep
                                    : text.startsWith("ZeRO ") ? "ZeRO " + stage : "tp " + tp;
            boolean said = text.startsWith(degrees + " ") || text.startsWith(degrees + ": ");
            String reason = said ? text.substring(text.indexOf(' ', 3) + 1) : text;
            impossible.computeIfAbsent(reason, _ -> new TreeSet<>()).add(degrees);
        }

        private void add(TargetJob job) {
            List<String> moved = new ArrayList<>();
            double steps = 0;
            for (String axis : List.of("tp", "pp", "ep")) {
                int was = degree(axis);
                int is = job.degree(axis);
                if (was != is) {
                    moved.add("%s %d -> %d".formatted(axis, was, is));
                    steps += Math.abs(Math.log((double) is / was));
                }
            }
            if (job.stage() != source.stage()) {
                moved.add("ZeRO %d -> %d".formatted(source.stage(), job.stage()));
            }
            int moves = moved.size();
            if (job.degree("dp") != degree("dp")) {
                moved.add("dp %d -> %d".formatted(degree("dp"), job.degree("dp")));
            }
            GpuMemory memory = GpuMemory.of(job, source.parameters());
            if (memory.total() > cluster.memory) {
                tooLarge++;
                return;
            }
            found.add(
                    new Ranked(
                            new Choice(
                                    job.degree("tp"),
                                    job.degree("pp"),
                                    job.degree("dp"),
                                    job.degree("ep"),
                                    job.stage(),
                                    memory,
                                    moved),
                            job,
                            moves,
                            steps));
        }

        private int degree(String axis) {
            return source.mesh().stream()
                    .filter(a -> a.axis().equals(axis))
                    .mapToInt(AxisDegree::degree)
                    .findFirst()
                    .orElse(1);
        }

        private static List<Integer> divisors(int n) {
            List<Integer> all = new ArrayList<>();
            for (int d = 1; d <= n; d++) {
                if (n % d == 0) {
                    all.add(d);
                }
            }
            return all;
        }
    }
}
