"""A student as one would write it by hand: layers of the teacher, its answers and labels, by transformers."""

import json
import sys

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    get_linear_schedule_with_warmup,
)

teacher_folder, train_file, out, layers, epochs = (
    sys.argv[1],
    sys.argv[2],
    sys.argv[3],
    int(sys.argv[4]),
    float(sys.argv[5]),
)
temperature = 2.0
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(teacher_folder)
teacher = AutoModelForSequenceClassification.from_pretrained(teacher_folder).eval()
student = AutoModelForSequenceClassification.from_pretrained(teacher_folder)
taken = [round(i * (len(teacher.bert.encoder.layer) - 1) / max(1, layers - 1)) for i in range(layers)]
student.bert.encoder.layer = torch.nn.ModuleList(student.bert.encoder.layer[i] for i in taken)
student.config.num_hidden_layers = layers

with open(train_file) as file:
    rows = [json.loads(line) for line in file]
examples = [
    {
        **tokenizer(row["text"], truncation=True, max_length=128),
        "labels": student.config.label2id[str(row["label"])],
    }
    for row in rows
]
loader = DataLoader(examples, 32, shuffle=True, collate_fn=DataCollatorWithPadding(tokenizer))
steps = max(1, int(epochs * len(loader)))
optimizer = torch.optim.AdamW(student.parameters(), lr=5e-5, weight_decay=0.01)
schedule = get_linear_schedule_with_warmup(optimizer, int(0.06 * steps), steps)
student.train()
step = 0
while step < steps:
    for batch in loader:
        labels = batch.pop("labels")
        with torch.no_grad():
            soft = teacher(**batch).logits
        logits = student(**batch).logits
        taught = kl_div(
            log_softmax(logits / temperature, -1), softmax(soft / temperature, -1), reduction="batchmean"
        )
        loss = cross_entropy(logits, labels) + temperature**2 * taught
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        if step == steps:
            break
student.eval().save_pretrained(out)
tokenizer.save_pretrained(out)
