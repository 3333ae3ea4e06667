"""The training loop that the networks share: AdamW, a cosine over the time one is willing to spend,
averaged weights, checkpoints to resume from, a history to plot."""

import math
import time

import torch

CHECKPOINT_EVERY_S, REPORT_EVERY_S = 60, 20


def worked():
    """Seconds that all threads were busy: a machine that others use, too, does not train less."""
    return time.process_time() / torch.get_num_threads()


class Loop:
    """Runs `loss(batch)` over `batches()` until `minutes` of training time are spent.

    The learning rate follows the share of the time spent (worked()), so a slow machine trains less
    but always ends annealed. Stop it whenever you like: the next run goes on from the last checkpoint.
    """

    def __init__(self, name, module, folder, minutes, rate=2e-3, betas=(0.9, 0.98), decay=0.01,
                 clip=1.0, warm_up=80, optimizer=torch.optim.AdamW):
        self.name, self.module, self.path = name, module, folder / f"{name}.pt"
        self.seconds, self.rate, self.clip, self.warm_up = 60 * minutes, rate, clip, warm_up
        self.optimizer = optimizer(module.parameters(), rate, betas, weight_decay=decay)
        self.average = {key: value.clone() for key, value in module.state_dict().items()}
        self.elapsed, self.steps, self.items, self.history = 0.0, 0, 0, []
        if self.path.exists():
            self._restore()

    def run(self, batches, loss, evaluate=None, evaluate_every_s=300):
        """batches() yields (batch, items in it) without end. evaluate() -> dict of numbers."""
        saved = reported = evaluated = self.elapsed
        recent = []
        for batch, items in batches():
            if self.elapsed >= self.seconds:
                break
            began = worked()
            recent.append(self._step(loss(batch)))
            self.items += items
            self.elapsed += worked() - began
            if self.elapsed - reported > REPORT_EVERY_S:
                reported = self.elapsed
                self._report({"loss": sum(recent) / len(recent)})
                recent = []
            if evaluate and self.elapsed - evaluated > evaluate_every_s:
                evaluated = self.elapsed
                self._evaluate(evaluate)
            if self.elapsed - saved > CHECKPOINT_EVERY_S:
                saved = self.elapsed
                self._save()
        if evaluate:
            self._evaluate(evaluate)
        self._save()
        self.module.load_state_dict(self.average)

    def _step(self, loss):
        share = min(self.elapsed / self.seconds, 1)
        scale = min(1, (self.steps + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * max(scale, 1e-3)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        self.optimizer.step()
        self.steps += 1
        keep = min(0.998, (1 + self.steps) / (10 + self.steps))
        for key, value in self.module.state_dict().items():
            self.average[key].lerp_(value, 1 - keep)
        return loss.item()

    def _evaluate(self, evaluate):
        current = {key: value.clone() for key, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average)
        self.module.eval()
        with torch.inference_mode():
            self._report(evaluate())
        self.module.train()
        self.module.load_state_dict(current)

    def _report(self, numbers):
        self.history.append({"minutes": self.elapsed / 60, "items": self.items} | numbers)
        text = "  ".join(f"{key} {value:.4f}" for key, value in numbers.items())
        print(f"{self.name}: {self.elapsed / 60:6.1f} of {self.seconds / 60:.0f} min  "
              f"step {self.steps}  items {self.items}  {text}", flush=True)

    def _save(self):
        state = {key: getattr(self, key) for key in ("elapsed", "steps", "items", "history",
                                                     "average")}
        state |= {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.path)

    def _restore(self):
        state = torch.load(self.path, weights_only=True)
        self.module.load_state_dict(state.pop("module"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        for key, value in state.items():
            setattr(self, key, value)
        print(f"{self.name}: resumed at {self.elapsed / 60:.1f} min", flush=True)


def averaged(folder, name):
    """The averaged weights of a loop's last checkpoint, or None."""
    path = folder / f"{name}.pt"
    return torch.load(path, weights_only=True)["average"] if path.exists() else None
