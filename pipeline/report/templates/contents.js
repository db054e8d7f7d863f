// Marks in the contents the section that is being read.

const entries = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((changes) => {
  for (const { isIntersecting, target } of changes) {
    if (!isIntersecting) continue;
    for (const [section, link] of entries) {
      if (section === target.id) {
        link.setAttribute("aria-current", "true");
        link.closest("ol").scrollTo({ left: link.offsetLeft - 24 });
      } else link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-20% 0px -75%" });
for (const section of document.querySelectorAll("main > section")) reading.observe(section);
