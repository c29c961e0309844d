// The service form: repositories and branches from the account, the fingerprint, the folder browser.
(function () {
  "use strict";
  document.addEventListener("DOMContentLoaded", function () {
    const form = document.getElementById("service-form");
    if (!form) return;
    const field = (name) => form.elements[name];
    const state = document.getElementById("source-state");
    const words = form.dataset;
    let names = null;
    let branches = null;

    function tell(text, bad) {
      state.textContent = text;
      state.hidden = !text;
      state.classList.toggle("bad", Boolean(bad));
    }
    function choice(input, items, onChange) {
      const picker = new window.TomSelect(input, {
        options: items, items: input.value ? [input.value] : [], valueField: "value", labelField: "label", searchField: ["label", "value"],
        create: true, createOnBlur: true, maxItems: 1, maxOptions: 500, persist: false, closeAfterSelect: true, sortField: [{ field: "$order" }],
        onChange,
        render: {
          no_results: () => { const box = document.createElement("div"); box.className = "no-results"; box.textContent = words.textNone; return box; },
          option_create: (data) => { const box = document.createElement("div"); box.className = "create"; box.textContent = data.input; return box; },
        },
      });
      picker.control_input.setAttribute("aria-label", form.querySelector(`label[for^="${input.id}"]`)?.textContent.trim() || input.name);
      return picker;
    }
    async function ask(url, values) {
      const response = await fetch(url + "?" + new URLSearchParams(values), { credentials: "same-origin" });
      if (!response.ok) throw new Error(String(response.status));
      return response.json();
    }
    let latest = 0;
    async function loadRepositories() {
      const turn = ++latest;
      if (names) { names.destroy(); names = null; }
      tell(words.textLoading);
      state.classList.add("is-loading");
      try {
        const found = await ask(words.repositories, { provider: field("provider").value, account: field("account").value });
        if (turn !== latest) return;
        if (found.error) { tell(`${found.error} ${found.advice || ""}`, true); return; }
        if (!found.api) { tell(""); return; }
        tell(found.said);
        const known = new Map(found.repositories.map((one) => [one.slug, one]));
        const input = field("repository_name");
        const current = field("repository_slug").value;
        const shown = input.value;
        const items = found.repositories.map((one) => ({ value: one.slug, label: one.slug }));
        if (known.has(current)) input.value = current;
        else if (shown) items.unshift({ value: shown, label: shown });
        names = choice(input, items, function (value) {
          const chosen = known.get(value);
          if (!chosen && value.includes("/")) { field("repository_slug").value = value; loadBranches(); }
          if (!chosen) return;
          field("repository_slug").value = chosen.slug;
          if (chosen.branch) setBranch(chosen.branch);
          loadBranches(chosen.branch);
        });
        form.addEventListener("formdata", function (event) {
          const chosen = known.get(event.formData.get("repository_name"));
          if (chosen) event.formData.set("repository_name", chosen.name);
        });
        if (known.has(current)) loadBranches();
      } catch {
        if (turn === latest) tell(words.textOffline, true);
      } finally {
        state.classList.remove("is-loading");
      }
    }
    function setBranch(name) {
      if (branches) { branches.addOption({ value: name, label: name }); branches.setValue(name, true); }
      else field("branch").value = name;
    }
    async function loadBranches(preferred) {
      const slug = field("repository_slug").value;
      if (!slug) return;
      try {
        const found = await ask(words.branches, { provider: field("provider").value, account: field("account").value, repository: slug });
        if (found.error) { tell(`${found.error} ${found.advice || ""}`, true); return; }
        if (branches) { branches.destroy(); branches = null; }
        if (!found.branches.length) return;
        const input = field("branch");
        const current = preferred && found.branches.includes(preferred) ? preferred : input.value;
        input.value = current;
        const items = found.branches.map((name) => ({ value: name, label: name }));
        if (current && !found.branches.includes(current)) items.unshift({ value: current, label: current });
        branches = choice(input, items);
      } catch { /* the branch can be typed */ }
    }
    // Accounts of another source are not offered; the only one of a source is taken, unless the settings hold a login.
    const sources = JSON.parse(document.getElementById("sources").textContent);
    const accounts = [...field("account").options].filter((option) => option.value);
    function offerAccounts() {
      const fitting = accounts.filter((option) => sources.accounts[option.value] === field("provider").value);
      accounts.forEach((option) => option.remove());
      field("account").append(...fitting);
      return fitting;
    }
    function chooseAccount() {
      const fitting = offerAccounts();
      const alone = fitting.length === 1 && !sources.settings.includes(field("provider").value);
      field("account").value = alone ? fitting[0].value : "";
    }
    field("provider").addEventListener("change", function () { chooseAccount(); loadRepositories(); });
    field("account").addEventListener("change", loadRepositories);
    const chosen = field("account").value;
    if (chosen) { offerAccounts(); field("account").value = chosen; } else if (!field("repository_slug").value) chooseAccount(); else offerAccounts();
    if (field("provider").value) loadRepositories();

    function only() {
      const protocol = field("protocol").value;
      form.querySelectorAll("[data-only]").forEach((part) => { part.hidden = !protocol.startsWith(part.dataset.only); });
    }
    field("protocol").addEventListener("change", only);
    only();

    form.addEventListener("click", function (event) {
      const accept = event.target.closest("[data-accept-fingerprint]");
      if (accept) {
        field("fingerprint").value = accept.dataset.acceptFingerprint;
        field("fingerprint").closest("details").open = true;
        accept.closest(".alert").remove();
        form.querySelector('[hx-target="#connection-result"]').click();
      }
      const choose = event.target.closest("[data-choose]");
      if (choose) {
        field("path").value = choose.dataset.choose;
        document.getElementById("folders").replaceChildren();
        field("path").focus();
      }
    });
  });
})();
