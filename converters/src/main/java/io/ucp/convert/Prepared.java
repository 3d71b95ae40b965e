package io.ucp.convert;

import io.ucp.bind.TargetBinder;
import io.ucp.checkpoint.Inventory;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.plan.Step;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A conversion that is decided to the byte and has read no tensor data: what `ucp plan` shows and
/// `ucp convert` runs.
///
/// @param described the source with its spec and its parameters
/// @param others checkpoints that are joined with it
/// @param inventory the parameters by the names that the target has
/// @param tree the files of the target
/// @param plan the steps that fill them
/// @param bound the ranks that a rank-sharded target is for, and what each is to hold
/// @param notes what was decided on the way
/// @param copied the target's files as those of a source that has the wanted layout already
public record Prepared(
        Request request,
        Described described,
        List<Described> others,
        Inventory inventory,
        TargetTree tree,
        CopyPlan plan,
        Optional<TargetBinder.Bound> bound,
        List<String> notes,
        Optional<TargetTree> copied) {
    public Prepared {
        others = List.copyOf(others);
        notes = List.copyOf(notes);
    }

    /// Of one source.
    public Prepared(
            Request request,
            Described described,
            Inventory inventory,
            TargetTree tree,
            CopyPlan plan,
            Optional<TargetBinder.Bound> bound,
            List<String> notes) {
        this(request, described, List.of(), inventory, tree, plan, bound, notes, Optional.empty());
    }

    /// The ranks that a rank-sharded target is for.
    public Optional<TargetJob> job() {
        return bound.map(TargetBinder.Bound::job);
    }

    /// With the files of a source that has the wanted layout already, if it has.
    Prepared withCopied(Optional<TargetTree> files) {
        return new Prepared(request, described, others, inventory, tree, plan, bound, notes, files);
    }

    /// Not with those files, which a note says.
    Prepared madeAnew(String note) {
        List<String> more = new ArrayList<>(notes);
        more.add(note);
        return new Prepared(
                request, described, others, inventory, tree, plan, bound, more, Optional.empty());
    }

    /// With those files for the target's.
    Prepared asCopied() {
        TargetTree files = copied.orElseThrow();
        return new Prepared(
                request,
                described,
                others,
                inventory,
                files,
                Planner.plan(inventory, files.files()),
                bound,
                notes,
                copied);
    }

    /// All that is read, the first one first.
    public List<Described> sources() {
        List<Described> all = new ArrayList<>();
        all.add(described);
        all.addAll(others);
        return all;
    }

    /// Odd things in the source, and what the target does otherwise than one might think.
    public List<Finding> findings() {
        List<Finding> all = new ArrayList<>(inventory.findings());
        notes.forEach(note -> all.add(new Finding(request.to(), note)));
        if (copied.isPresent()) {
            all.add(
                    new Finding(
                            request.to(),
                            "the source has this layout already: nothing to do but to copy it"));
        }
        tree.notes().forEach(note -> all.add(new Finding(request.to(), note)));
        NotGivenBack.of(inventory, tree).forEach(n -> all.add(new Finding(request.to(), n)));
        return all;
    }

    /// Bytes that the target's files hold (before compression).
    public long bytesWritten() {
        return tree.files().stream().mapToLong(f -> f.size()).sum();
    }

    /// Bytes of the source that are read: every element of every step, once of each copy that is
    /// read.
    public long bytesRead() {
        long[] sum = new long[1];
        plan.targets().stream()
                .flatMap(t -> t.steps().stream())
                .forEach(
                        step ->
                                sum[0] +=
                                        switch (step) {
                                            case Step.Literal _, Step.Fill _ -> 0;
                                            case Step.Bytes bytes -> bytes.size();
                                            case Step.Elements elements -> elements.bytesRead();
                                        });
        return sum[0];
    }

    /// Steps by kind: `elements`, `bytes`, `literal`, `fill`.
    public Map<String, Integer> steps() {
        Map<String, Integer> counts = new HashMap<>();
        plan.targets().stream()
                .flatMap(t -> t.steps().stream())
                .forEach(
                        step ->
                                counts.merge(
                                        switch (step) {
                                            case Step.Literal _ -> "literal";
                                            case Step.Fill _ -> "fill";
                                            case Step.Bytes _ -> "bytes";
                                            case Step.Elements _ -> "elements";
                                        },
                                        1,
                                        Integer::sum));
        return counts;
    }
}
