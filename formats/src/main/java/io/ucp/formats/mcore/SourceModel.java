package io.ucp.formats.mcore;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// The files of the job of Megatron-LM that wrote the state: what the new ones are made of. A rank
/// that the source has gets what its own file said; another gets that of the source's rank at the
/// same place modulo the source's degrees.
///
/// @param ranks in the order of stages, tensor-parallel ranks, expert ranks
public record SourceModel(Grid grid, Arguments arguments, List<Rank> ranks) {
    public SourceModel {
        ranks = List.copyOf(ranks);
    }

    /// A rank's file of the model.
    public record Rank(int tp, int pp, int ep, CarriedFile file, PyDict root) {}

    /// Nothing where another framework wrote the state, or where it has other names by now.
    public static Optional<SourceModel> of(WriteRequest request) {
        Origin origin = request.origin();
        if (!Roles.FORMATS.contains(origin.format())) {
            return Optional.empty();
        }
        List<Rank> ranks = new ArrayList<>();
        for (CarriedFile file : request.carried()) {
            Optional<PyDict> root = file.root().flatMap(PickleValue::asDict);
            if (file.role().equals(Roles.MODEL) && root.isPresent()) {
                ranks.add(
                        new Rank(
                                file.at().on("tp"),
                                file.at().on("pp"),
                                file.at().on("ep"),
                                file,
                                root.get()));
            }
        }
        if (ranks.isEmpty()) {
            return Optional.empty();
        }
        ranks.sort(
                Comparator.comparingInt(Rank::pp)
                        .thenComparingInt(Rank::tp)
                        .thenComparingInt(Rank::ep));
        PyDict first = ranks.getFirst().root();
        Arguments arguments = new Arguments(first.find("args").orElse(PyDict.empty()));
        Grid grid =
                new Grid(
                        degree(origin, "tp"),
                        degree(origin, "pp"),
                        arguments.virtual(),
                        degree(origin, "cp"),
                        degree(origin, "dp"),
                        degree(origin, "ep"),
                        degree(origin, "etp"),
                        arguments.experts());
        SourceModel source = new SourceModel(grid, arguments, ranks);
        return isOf(source, request) ? Optional.of(source) : Optional.empty();
    }

    /// Whether the files are those of the model under the names that it has by now. Where Megatron
    /// has a model in several forms (experts one by one, in one matrix), a target may have another.
    private static boolean isOf(SourceModel source, WriteRequest request) {
        List<String> names = request.parameters().stream().map(ParameterFacts::name).toList();
        if (!request.origin().format().equals(Roles.LEGACY)) {
            return GroupedExperts.said(source.arguments())
                    == names.stream().anyMatch(GroupedExperts::is);
        }
        Set<String> held = ModelTemplate.of(source).values().keySet();
        List<String> others = names.stream().filter(name -> !held.contains(name)).toList();
        return others.isEmpty() || !others.stream().allMatch(ModuleOrder::knows);
    }

    /// Layers of each chunk where `args` say nothing else than how many chunks there are; nothing
    /// where they do.
    List<Integer> evenChunks(int layers) {
        int chunks = grid.pp() * grid.virtual();
        boolean even =
                layers % chunks == 0
                        && Stream.of(
                                        "decoder_first_pipeline_num_layers",
                                        "decoder_last_pipeline_num_layers",
                                        "pipeline_model_parallel_layout")
                                .allMatch(name -> arguments.find(name).isEmpty())
                        && !arguments.is("account_for_embedding_in_pipeline_split")
                        && !arguments.is("account_for_loss_in_pipeline_split");
        return even ? Collections.nCopies(chunks, layers / chunks) : List.of();
    }

    private static int degree(Origin origin, String axis) {
        return origin.mesh().stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }

    public Rank first() {
        return ranks.getFirst();
    }

    /// Whether the source has this very rank.
    public boolean has(int tp, int pp, int ep) {
        return find(tp, pp, ep).isPresent();
    }

    public Rank donor(int tp, int pp, int ep) {
        return find(tp, pp, ep)
                .or(() -> find(tp % grid.tp(), pp % grid.pp(), ep % grid.ep()))
                .or(
                        () ->
                                ranks.stream()
                                        .filter(r -> r.pp == pp % grid.pp())
                                        .filter(r -> r.tp == tp % grid.tp())
                                        .findFirst())
                .orElse(first());
    }

    private Optional<Rank> find(int tp, int pp, int ep) {
        return ranks.stream().filter(r -> r.tp == tp && r.pp == pp && r.ep == ep).findFirst();
    }

    /// The ranks of a stage that are the first to hold something: one of each expert rank.
    public List<Rank> holders(int pp) {
        List<Rank> holders = new ArrayList<>();
        for (Rank rank : ranks) {
            if (rank.pp == pp && holders.stream().noneMatch(h -> h.ep == rank.ep)) {
                holders.add(rank);
            }
        }
        holders.sort(Comparator.comparingInt(Rank::ep));
        return holders;
    }
}
