const slides = [...document.querySelectorAll('section')];
let at = Math.min(Math.max(Number(location.hash.slice(1)) - 1 || 0, 0), slides.length - 1);
function show(next) {
  at = Math.min(Math.max(next, 0), slides.length - 1);
  slides.forEach((slide, i) => slide.classList.toggle('now', i === at));
  document.getElementById('place').textContent = (at + 1) + ' / ' + slides.length;
  history.replaceState(null, '', '#' + (at + 1));
}
addEventListener('keydown', event => {
  if (['ArrowRight', 'ArrowDown', 'PageDown', ' '].includes(event.key)) show(at + 1);
  else if (['ArrowLeft', 'ArrowUp', 'PageUp'].includes(event.key)) show(at - 1);
  else if (event.key === 'n') document.body.classList.toggle('notes');
  else return;
  event.preventDefault();
});
addEventListener('click', event => { if (!event.target.closest('a, summary, .notes')) show(at + 1); });
show(at);
