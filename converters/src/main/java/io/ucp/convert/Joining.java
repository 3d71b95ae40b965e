package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.WeightsOnly;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.Finding;
import io.ucp.formats.PartConfig;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetTree;
import io.ucp.plan.Planner;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/// Several checkpoints as one: the parts of a model.
public final class Joining {
    private final List<Parameter> parameters = new ArrayList<>();
    private final Map<String, String> holders = new HashMap<>();
    private final SequencedMap<String, CarriedFile> carried = new LinkedHashMap<>();
    private final List<Finding> findings = new ArrayList<>();
    private final List<String> losses = new ArrayList<>();

    private Joining() {}

    /// One of them, read.
    ///
    /// @param prefix what is put before its names, with a dot between
    /// @param request for the target that all become
    public record Piece(Optional<String> prefix, Request request, Described described) {}

    /// Everything up to the plan.
    ///
    /// @param pieces the first gives the target its tag, its iteration and its numbers
    /// @throws RefusedException where two hold a parameter of one name
    public static Prepared prepare(List<Piece> pieces) throws IOException {
        Joining joining = new Joining();
        List<TargetNames> all = new ArrayList<>();
        for (Piece piece : pieces) {
            TargetNames names =
                    TargetNames.of(
                            piece.request(),
                            piece.described(),
                            Conversion.format(piece.request().to()));
            WithoutEffect.refuse(
                    piece.request(),
                    piece.described(),
                    names,
                    Conversion.format(piece.request().to()));
            if (piece.request().weightsOnly()) {
                names = names.with(WeightsOnly.of(names.inventory()));
            }
            all.add(names);
            joining.add(piece, names.inventory());
        }
        Piece first = pieces.getFirst();
        TargetNames names = all.getFirst();
        Inventory joined =
                new Inventory(
                        names.inventory().index(),
                        joining.parameters,
                        List.copyOf(joining.carried.values()),
                        Part.withoutSpec(names.inventory().origin()),
                        joining.findings);
        TargetNames target =
                new TargetNames(joined, names.hints().withoutNames(), Optional.empty());
        TargetTree tree =
                Conversion.losing(
                        Conversion.layout(first.request(), target, Optional.empty()),
                        joining.losses);
        return new Prepared(
                first.request(),
                first.described(),
                pieces.stream().skip(1).map(Piece::described).toList(),
                joined,
                tree,
                Planner.plan(joined, tree.files()),
                Optional.empty(),
                List.of(),
                Optional.empty());
    }

    private void add(Piece piece, Inventory held) throws IOException {
        String place = piece.described().source().taken().folder().toString();
        Inventory part = piece.prefix().isPresent() ? Part.under(piece.prefix().get(), held) : held;
        for (Parameter parameter : part.parameters()) {
            claim(parameter.name(), place);
            for (String alias : parameter.facts().aliases()) {
                claim(alias, place);
            }
            parameters.add(parameter);
        }
        for (Finding finding : part.findings()) {
            findings.add(
                    new Finding("%s: %s".formatted(place, finding.place()), finding.message()));
        }
        findings.add(
                new Finding(
                        "part", "%s: parameters: %d".formatted(place, part.parameters().size())));
        carry(
                piece.prefix().isPresent()
                        ? ofTheWhole(part.carried(), piece.prefix().get(), place)
                        : part.carried(),
                place);
    }

    private void claim(String name, String place) {
        String other = holders.putIfAbsent(name, place);
        if (other != null) {
            throw new RefusedException(
                    place,
                    "`%s`, which %s holds as well".formatted(name, other),
                    "every parameter in one part only",
                    "leave one of them out (ucp split), or put a word before the names of one:"
                            + " WORD="
                            + place);
        }
    }

    /// Of a part that gets words before its names: `config.json` of the whole, where the part has
    /// it along. Its own is not that of the whole, and is lost where the whole's does not say it.
    private List<CarriedFile> ofTheWhole(List<CarriedFile> files, String prefix, String place)
            throws IOException {
        List<CarriedFile> kept = new ArrayList<>();
        for (CarriedFile file : files) {
            if (Part.isNamed(file, PartConfig.WHOLE)) {
                kept.add(Part.named(file, PartConfig.FILE, file.file()));
            } else if (!Part.isNamed(file, PartConfig.FILE)) {
                kept.add(file);
            } else if (!isSaid(file, files, prefix)) {
                losses.add(
                        "left behind, for it is of a part, not of the whole: %s: %s"
                                .formatted(place, file.path()));
            }
        }
        return kept;
    }

    /// Whether a part's `config.json` is what that of the whole beside it says of the part.
    private static boolean isSaid(CarriedFile own, List<CarriedFile> files, String prefix)
            throws IOException {
        String beside = Part.named(own, PartConfig.WHOLE, own.file()).path();
        for (CarriedFile file : files) {
            if (file.path().equals(beside) && file.file().isPresent()) {
                Optional<PartConfig.Own> said = PartConfig.of(file.file().get(), prefix);
                return said.isPresent()
                        && CarriedComparison.of(
                                        List.of(own),
                                        List.of(
                                                Part.named(
                                                        own,
                                                        PartConfig.FILE,
                                                        Optional.of(said.get().file()))))
                                .isEmpty();
            }
        }
        return false;
    }

    private void carry(List<CarriedFile> files, String place) throws IOException {
        List<String> jobs = new ArrayList<>();
        List<String> other = new ArrayList<>();
        for (CarriedFile file : files) {
            if (file.role().equals(CarriedFile.FORM)) {
                continue;
            }
            if (file.root().isPresent()) {
                jobs.add(file.path());
                continue;
            }
            CarriedFile first = carried.putIfAbsent(file.path(), file);
            if (first != null && !same(first, file)) {
                other.add(file.path());
            }
        }
        if (!jobs.isEmpty()) {
            losses.add(
                    "left behind, for they are of a part's own job: %s: %s"
                            .formatted(place, Foreign.named(jobs)));
        }
        if (!other.isEmpty()) {
            losses.add(
                    "left behind, for an earlier part has others of that name: %s: %s"
                            .formatted(place, Foreign.named(other)));
        }
    }

    private static boolean same(CarriedFile one, CarriedFile other) throws IOException {
        return CarriedComparison.of(List.of(one), List.of(other)).isEmpty();
    }
}
