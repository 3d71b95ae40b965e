package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Optimizer groups of experts. DeepSpeed takes the experts out of every group that the script made
/// and splits them where a rank would hold more than [ExpertSplit#MOST] elements: where ranks hold
/// other experts than before, what was split is joined and split anew.
///
/// Source: DeepSpeed `moe/utils.py` (`split_params_into_different_moe_groups_for_optimizer`).
final class ExpertGroups {
    private final OptimizerModel model;
    private final SourceFiles source;
    private final RankHoldings holdings;
    private final Ranks target;
    private final FlatOrder order;
    private final boolean unchanged;
    private final boolean unsplit;

    /// Source's group -> the first of those that were split from one.
    private final List<Integer> firsts = new ArrayList<>();

    /// @param source number of the optimizer group in the source whose hyperparameters these have
    record Members(int source, List<Held> members) {}

    /// @param unchanged every rank holds as many experts, of the same sizes, as in the source
    /// @param dealt the source's parameters took turns over its data-parallel ranks
    ExpertGroups(
            OptimizerModel model,
            SourceFiles source,
            RankHoldings holdings,
            Ranks target,
            boolean unchanged,
            boolean dealt) {
        this.model = model;
        this.source = source;
        this.holdings = holdings;
        this.target = target;
        this.unchanged = unchanged;
        this.order =
                new FlatOrder(
                        source,
                        g ->
                                !dealt
                                        ? 1
                                        : g < model.paramGroups().size()
                                                        && ExpertSplit.isExpert(
                                                                model.paramGroups().get(g))
                                                ? source.expertReplicas()
                                                : source.ranks().dp());
        this.unsplit = source.models().stream().anyMatch(this::exceeds);
        for (int g = 0; g < model.paramGroups().size(); g++) {
            firsts.add(g > 0 && !unchanged && !unsplit && wasSplit(g) ? firsts.getLast() : g);
        }
    }

    /// Whether a group has more than DeepSpeed leaves in one, or begins with a parameter that has:
    /// the script made it so.
    private boolean exceeds(CarriedFile file) {
        List<PickleValue> shapes = shapes(file);
        for (int g = 0; g < Math.min(shapes.size(), model.paramGroups().size()); g++) {
            List<Long> own = counts(shapes.get(g));
            // Stage 3 lists sub-groups, which are no groups, and takes an empty one.
            boolean first =
                    model.kind() != OptimizerModel.Kind.STAGE_3
                            && (g == 0
                                    || !ExpertSplit.alike(
                                            model.paramGroups().get(g),
                                            model.paramGroups().get(g - 1)));
            if (ExpertSplit.isExpert(model.paramGroups().get(g))
                    && own.size() > (first ? 0 : 1)
                    && own.stream().mapToLong(Long::longValue).sum() > ExpertSplit.MOST) {
                return true;
            }
        }
        return false;
    }

    private static List<PickleValue> shapes(CarriedFile file) {
        return file.root()
                .flatMap(r -> r.find("param_shapes"))
                .flatMap(PickleValue::asSequence)
                .orElse(List.of());
    }

    /// A job whose first group of experts is empty has no ZeRO 1 or 2, whose optimizer takes no
    /// such group, and has one more than a checkpoint says that leaves it out.
    ///
    /// @throws RefusedException where the first parameter is larger than a group
    static List<List<Held>> split(List<Held> members) {
        List<List<Held>> parts = ExpertSplit.of(members, Held::count);
        if (parts.getFirst().isEmpty()) {
            throw new RefusedException(
                    members.getFirst().name(),
                    "%,d elements of experts on a rank".formatted(members.getFirst().count()),
                    "%,d or fewer: DeepSpeed splits larger groups of experts, before the first"
                                    .formatted(ExpertSplit.MOST)
                            + " parameter too, and its optimizer takes no empty group",
                    "ask for more expert-parallel ranks, --ep");
        }
        return parts;
    }

    /// Whether group `g` begins where the one before was full.
    private boolean wasSplit(int g) {
        PickleValue own = model.paramGroups().get(g);
        return ExpertSplit.isExpert(own)
                && ExpertSplit.alike(own, model.paramGroups().get(g - 1))
                && (model.kind().whole()
                        ? overflows(g)
                        : source.models().stream().anyMatch(file -> overflows(file, g)));
    }

    /// Without ZeRO no list says the shapes of a group: they are those of its members, of which
    /// every expert-parallel rank had as many.
    private boolean overflows(int g) {
        for (int mp = 0; mp < target.mp(); mp++) {
            List<Held> own = group(mp, g);
            long before =
                    group(mp, g - 1).stream().mapToLong(Held::count).sum()
                            / Math.max(1, source.expertRanks());
            if (own.isEmpty()) {
                continue;
            }
            boolean full = before + own.getFirst().count() > ExpertSplit.MOST;
            if (source.ranks().tp() != target.tp()
                    && (before + own.getFirst().count()) * target.tp() > ExpertSplit.MOST) {
                throw new RefusedException(
                        model.file().path(),
                        "optimizer groups %d and %d of experts, which may have been one"
                                .formatted(g - 1, g),
                        "the tensor parallelism of the source, tp "
                                + source.ranks().tp()
                                + ", at which their sizes tell",
                        "convert to --zero 1 at that tp first");
            }
            if (full) {
                return true;
            }
        }
        return false;
    }

    private List<Held> group(int mp, int g) {
        return holdings.on(mp).stream()
                .filter(h -> h.trainable() && h.facts().optimizerGroup() == g)
                .toList();
    }

    private static boolean overflows(CarriedFile file, int g) {
        List<PickleValue> shapes = shapes(file);
        if (g >= shapes.size()) {
            return false;
        }
        long before = counts(shapes.get(g - 1)).stream().mapToLong(Long::longValue).sum();
        List<Long> own = counts(shapes.get(g));
        return !own.isEmpty() && before + own.getFirst() > ExpertSplit.MOST;
    }

    private static List<Long> counts(PickleValue shapes) {
        return shapes.asDict().map(PyDict::entries).orElse(List.of()).stream()
                .map(
                        e ->
                                e.value().asSequence().orElse(List.of()).stream()
                                        .mapToLong(d -> d.asLong().orElse(0))
                                        .reduce(1, Math::multiplyExact))
                .toList();
    }

    /// The groups of an expert-parallel rank, in order.
    List<Members> of(int mp, int expertRank) {
        Map<Integer, List<Held>> groups =
                holdings.groups(
                        mp, expertRank, g -> unchanged || g >= firsts.size() ? g : firsts.get(g));
        List<Members> all = new ArrayList<>();
        groups.forEach(
                (source, held) -> {
                    List<Held> members = order.of(held);
                    if (unchanged || unsplit || !members.getFirst().expert()) {
                        all.add(new Members(source, members));
                    } else {
                        split(members).forEach(part -> all.add(new Members(source, part)));
                    }
                });
        return all;
    }
}
